-- $1 import, $2 after, $3 rows, $4 verdict or null
select
    items.line, items.tenant, items.external_id, items.names, items.challenge, items.labels, items.verdict,
    items.certificate_id, items.rollback
from import_items as items
where items.import_id = $1 and items.line > $2
    and ($4::text is null or items.verdict = $4)
    -- Faults are few beside rows: who asks for the refused ones goes from fault to fault.
    and ($4::text is distinct from 'refused' or items.line in (
        select distinct faults.line from import_faults as faults where faults.import_id = $1 and faults.line > $2
        order by faults.line
        limit $3::bigint
    ))
order by items.line
limit $3::bigint
