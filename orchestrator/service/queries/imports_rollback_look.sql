-- $1 import, $2 and $3 the lines after and up to: what stands in the way of taking each certificate back, if anything does.
select
    items.line as "line!", items.certificate_id as "certificate_id!",
    case
        when items.verdict <> 'created' then 'there_before'
        when certificates.certificate_id is null then 'gone'
        when exists (
            select from issued_certificates where issued_certificates.certificate_id = items.certificate_id
        ) then 'issued'
        when exists (
            select from orders
            where orders.certificate_id = items.certificate_id
                and (orders.queue = 2 or orders.asks > 0 or orders.admitted_at is not null)
        ) then 'ordered'
        when exists (
            select from orders
            where orders.certificate_id = items.certificate_id and orders.lease_expires_at is not null
        ) then 'in_hand'
        when certificates.import_id is distinct from $1 or certificates.names <> items.names
            or certificates.challenge <> items.challenge or certificates.labels <> items.labels then 'changed_since'
    end as obstacle
from import_items as items
left join certificates on certificates.certificate_id = items.certificate_id and certificates.deleted_at is null
where items.import_id = $1 and items.line > $2 and items.line <= $3
    and (items.verdict = 'created' or items.verdict = 'changed')
    and items.certificate_id is not null
    and items.rollback is distinct from 'removed'
order by items.line
