-- $1 import, $2 and $3 the lines after and up to, $4 now. In the order of the names, as everybody claims them.
insert into hostnames (hostname, tenant_id, created_at, import_id)
select distinct on (target collate "C") target, tenant_id, $4, $1
from (
    select case when name like '*.%' then substr(name, 3) else name end as target, tenants.tenant_id, items.line
    from import_items as items
    join tenants on tenants.slug = items.tenant
    cross join lateral unnest(items.names) as name
    where items.import_id = $1 and items.line > $2 and items.line <= $3
        and (items.verdict is null or items.verdict in ('created', 'changed', 'unchanged'))
) as wished
order by target collate "C", line
on conflict (hostname) do nothing
