-- $1 import, $2 what to say. A name belongs to the first row that has it.
with twice as (
    select name, min(line) as first_line
    from import_items
    cross join lateral unnest(names) as name
    where import_id = $1 and verdict is null
    group by name
    having count(*) > 1
),
later as (
    select item.line, named.name, named.nr, item.columns[2 + named.nr] as at_column, twice.first_line
    from import_items as item
    cross join lateral unnest(item.names) with ordinality as named (name, nr)
    join twice on twice.name = named.name
    where item.import_id = $1 and item.verdict is null and item.line > twice.first_line
),
faulted as (
    insert into import_faults (import_id, line, nr, at_column, field, code, detail)
    select $1, line, nr, at_column, 'names', 'name_repeated_in_file', name || ' stands in line ' || first_line || $2
    from later
)
update import_items
set verdict = 'refused'
where import_id = $1 and line in (select line from later)
