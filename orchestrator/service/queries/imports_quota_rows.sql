-- What each row of a batch would take of its tenant's quotas: $1 import, $2 and $3 the lines after and up to, $4 the tenants
-- that have any. $5: names that a preview has given to earlier rows are theirs.
select
    items.line as "line!", tenants.tenant_id as "tenant_id!", coalesce(items.columns[1], 1) as "at_column!",
    coalesce(certificates.names = items.names and certificates.given_up_at is null, false) as "same_names!",
    array(
        select distinct named.target
        from (
            select case when name like '*.%' then substr(name, 3) else name end as target from unnest(items.names) as name
        ) as named
        where not exists (select from hostnames where hostnames.hostname = named.target)
            and not ($5 and exists (
                select from import_names where import_names.import_id = $1 and import_names.hostname = named.target))
    ) as "fresh!"
from import_items as items
join tenants on tenants.slug = items.tenant
left join lateral (
    select names, given_up_at from certificates
    where certificates.tenant_id = tenants.tenant_id and certificates.external_id = items.external_id
        and certificates.deleted_at is null
    offset 0
) as certificates on true
where items.import_id = $1 and items.line > $2 and items.line <= $3
    and (items.verdict is null or items.verdict in ('created', 'changed', 'unchanged'))
    and tenants.tenant_id = any($4::uuid[])
order by items.line
