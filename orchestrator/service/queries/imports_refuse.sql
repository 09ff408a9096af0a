-- $1 import, then the rows: $2 lines, $3 columns, $4 names; $5 what to say of a name
with refused as (
    select line, at_column, name from unnest($2::bigint[], $3::integer[], $4::text[]) as refused (line, at_column, name)
),
faulted as (
    insert into import_faults (import_id, line, nr, at_column, field, code, detail)
    select $1, line, 1, at_column, 'names', 'hostname_owned_by_other_tenant', name || $5
    from refused
)
update import_items
set verdict = 'refused', certificate_id = null
from refused
where import_items.import_id = $1 and import_items.line = refused.line
