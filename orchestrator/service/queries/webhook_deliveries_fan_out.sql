-- Hands the next events after place ($1 transaction, $2 number) to the webhooks that want them, up to $3; $4 now, $5 the
-- kinds that are delivered at all, $6 a number that none of them is below. Whatever a transaction that still runs may have told comes later: no event is passed over.
-- Returns the place it has come to.
with batch as (
    select event_id, xid, seq, tenant_id, certificate_id, kind, subject, happened_at
    from events
    where xid < pg_snapshot_xmin(pg_current_snapshot()) and (xid, seq) > ($1::text::xid8, $2) and seq > $6
    order by xid, seq
    limit $3
),
handed as (
    insert into webhook_deliveries (
        delivery_id, webhook_id, tenant_id, event_id, order_key, xid, seq, due_at, created_at)
    select
        uuid_at($4), webhooks.webhook_id, webhooks.tenant_id, batch.event_id,
        coalesce(batch.certificate_id::text, batch.subject), batch.xid, batch.seq,
        -- What follows a failure need not be looked at before it.
        greatest($4, held.until), $4
    from batch
    join webhooks on
        (webhooks.tenant_id is null or webhooks.tenant_id = batch.tenant_id)
        and webhooks.enabled and webhooks.disabled_at is null
        and batch.happened_at >= webhooks.created_at
        and (
            webhooks.kinds = '{}'
            or batch.kind = any(webhooks.kinds)
            or split_part(batch.kind, '.', 1) || '.*' = any(webhooks.kinds)
        )
    left join lateral (
        select max(due_at) as until
        from webhook_deliveries as earlier
        where earlier.webhook_id = webhooks.webhook_id
            and earlier.order_key = coalesce(batch.certificate_id::text, batch.subject)
            and earlier.state = 'pending' and earlier.lease_holder is null
    ) as held on true
    where batch.kind = any($5)
    on conflict (webhook_id, event_id) do nothing
    returning 1
)
select
    last.xid::text as "xid!", last.seq as "seq!",
    (select count(*) from batch) as "events!", (select count(*) from handed) as "handed!"
from (select xid, seq from batch order by xid desc, seq desc limit 1) as last
