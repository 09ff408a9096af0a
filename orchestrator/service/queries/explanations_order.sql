-- $1 hostname: each certificate that is wished for it, with the latest order that has it and the latest one issued with it.
-- First what does not stand well.
select
    certificates.certificate_id, certificates.external_id,
    latest.order_id as "order_id?", latest.stage as "stage?", latest.due_at as "due_at?",
    latest.lease_expires_at is not null as "is_in_hand!",
    latest.fault_class as "fault_class?", latest.fault_detail as "fault_detail?", latest.fault_hostname as "fault_hostname?",
    coalesce(current.not_after > $2, false) as "is_certified!"
from certificates
left join lateral (
    select * from orders
    where orders.certificate_id = certificates.certificate_id and orders.names @> array[$1::text]
    order by accepted_at desc, order_id desc
    limit 1
) as latest on true
left join lateral (
    select max(not_after) as not_after from issued_certificates
    where issued_certificates.certificate_id = certificates.certificate_id
        and issued_certificates.names @> array[$1::text]
) as current on true
where certificates.certificate_id in (select * from certificates_named(array[$1::text])) and certificates.deleted_at is null
    and ($3::uuid is null or certificates.tenant_id = $3)
order by coalesce(current.not_after > $2, false), certificates.certificate_id
limit 1
