-- $1 tenant or null, $2 after, $3 rows; then the filters, each null where it does not matter: $4 import, $5 status
select
    imports.import_id, imports.tenant_id, tenants.slug as "tenant?", imports.source, imports.lane, imports.commits,
    imports.status, imports.sha256, imports.bytes, imports.rows_total, imports.rows_created, imports.rows_changed,
    imports.rows_unchanged, imports.rows_repeated, imports.rows_refused, imports.orders_created, imports.orders_hastened,
    imports.rows_removed, imports.rows_left, imports.line_done,
    case when imports.status = 'rolling_back' then imports.line_committed else imports.line_last end as "line_end!",
    imports.line_last, imports.due_at, imports.fault, imports.created_at, imports.received_at, imports.committed_at,
    imports.ended_at
from imports
left join tenants using (tenant_id)
where ($1::uuid is null or imports.tenant_id = $1)
    and ($2::uuid is null or imports.import_id > $2)
    and ($4::uuid is null or imports.import_id = $4)
    and ($5::text is null or imports.status = $5)
    and imports.status <> 'discarded'
order by imports.import_id
limit $3
