-- $1 import, $2 what to say where two rows differ. Of rows with one external id the first counts; one that says the same
-- repeats it, another one is refused.
with twice as (
    select tenant, external_id, min(line) as first_line
    from import_items
    where import_id = $1 and verdict is null
    group by tenant, external_id
    having count(*) > 1
),
later as (
    select
        item.line, item.columns[2] as at_column, item.external_id, twice.first_line,
        item.names = first.names and item.challenge = first.challenge and item.labels = first.labels as same
    from twice
    join import_items as item
        on item.import_id = $1 and item.tenant = twice.tenant and item.external_id = twice.external_id
    join import_items as first on first.import_id = $1 and first.line = twice.first_line
    where item.verdict is null and item.line > twice.first_line
),
faulted as (
    insert into import_faults (import_id, line, nr, at_column, field, code, detail)
    select $1, line, 1, at_column, 'external_id', 'external_id_repeated',
        external_id || ' stands in line ' || first_line || $2
    from later
    where not same
)
update import_items
set verdict = case when later.same then 'repeated' else 'refused' end
from later
where import_items.import_id = $1 and import_items.line = later.line
returning import_items.verdict as "verdict!"
