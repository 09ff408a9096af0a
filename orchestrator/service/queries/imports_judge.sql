-- $1 import, $2 and $3 the lines after and up to, $4 an id for each row that needs a new certificate; none: nothing is made,
-- it is only told what would be.
with judged as (
    select
        items.line, tenants.tenant_id,
        coalesce(certificates.certificate_id, ($4::uuid[])[row_number() over (order by items.line)::integer])
            as certificate_id,
        coalesce(certificates.names = items.names and certificates.given_up_at is null, false) as same_names,
        case
            when certificates.certificate_id is null then 'created'
            when certificates.names = items.names and certificates.given_up_at is null
                and certificates.challenge = items.challenge
                and certificates.labels = items.labels then 'unchanged'
            else 'changed'
        end as verdict
    from import_items as items
    left join tenants on tenants.slug = items.tenant
    -- Row by row by its index: a planner that takes the table for small would read all rows of the tenant for each.
    left join lateral (
        select * from certificates
        where certificates.tenant_id = tenants.tenant_id and certificates.external_id = items.external_id
            and certificates.deleted_at is null
        offset 0
    ) as certificates on true
    where items.import_id = $1 and items.line > $2 and items.line <= $3
        and (items.verdict is null or items.verdict in ('created', 'changed', 'unchanged'))
)
update import_items as item
set verdict = judged.verdict, certificate_id = judged.certificate_id
from judged
where item.import_id = $1 and item.line = judged.line
returning
    judged.tenant_id as "tenant_id?", judged.certificate_id as "certificate_id?", judged.verdict as "verdict!",
    judged.same_names as "same_names!"
