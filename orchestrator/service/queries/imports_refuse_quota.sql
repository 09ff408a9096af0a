-- $1 import, then the rows that are beyond a quota: $2 lines, $3 columns, $4 codes, $5 what to say of each
with refused as (
    select line, at_column, code, detail
    from unnest($2::bigint[], $3::integer[], $4::text[], $5::text[]) as refused (line, at_column, code, detail)
),
faulted as (
    insert into import_faults (import_id, line, nr, at_column, field, code, detail)
    select $1, line, 1, at_column, 'tenant', code, detail
    from refused
)
update import_items
set verdict = 'refused', certificate_id = null
from refused
where import_items.import_id = $1 and import_items.line = refused.line
