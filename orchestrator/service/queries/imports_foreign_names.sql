-- $1 import, $2 and $3 the lines after and up to. For each row whose tenant may not have it, the first name that is
-- somebody else's, or for dns-01 below somebody else's.
with item as (
    select items.line, items.names, items.above, items.columns, tenants.tenant_id
    from import_items as items
    left join tenants on tenants.slug = items.tenant
    where items.import_id = $1 and items.line > $2 and items.line <= $3
        and (items.verdict is null or items.verdict in ('created', 'changed', 'unchanged'))
)
select distinct on (line) line as "line!", at_column as "at_column!", name as "name!"
from (
    select item.line, item.columns[2 + named.nr] as at_column, named.name, named.nr
    from item
    cross join lateral unnest(item.names) with ordinality as named (name, nr)
    join hostnames on hostnames.hostname = case when named.name like '*.%' then substr(named.name, 3) else named.name end
    where hostnames.tenant_id is distinct from item.tenant_id
    union all
    select item.line, item.columns[2 + named.nr], named.name, named.nr
    from item
    cross join lateral unnest(item.above) as ancestor (name)
    join hostnames on hostnames.hostname = ancestor.name
    cross join lateral unnest(item.names) with ordinality as named (name, nr)
    where hostnames.tenant_id is distinct from item.tenant_id
        and right(named.name, length(ancestor.name) + 1) = '.' || ancestor.name
        and named.name <> '*.' || ancestor.name
) as foreign_names
order by line, nr
