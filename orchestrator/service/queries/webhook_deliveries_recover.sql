-- Has webhook $1 told of everything it wants that was told from event id $2 on, and that it has not taken yet; at $3, with
-- the kinds $4 that are delivered at all. What was given up is tried anew; what it has taken is left.
with lost as (
    select events.event_id, events.xid, events.seq, events.tenant_id, webhooks.tenant_id as owner,
        coalesce(events.certificate_id::text, events.subject) as order_key
    from webhooks
    join events on
        (webhooks.tenant_id is null or webhooks.tenant_id = events.tenant_id)
        and (
            webhooks.kinds = '{}'
            or events.kind = any(webhooks.kinds)
            or split_part(events.kind, '.', 1) || '.*' = any(webhooks.kinds)
        )
    where webhooks.webhook_id = $1 and events.event_id >= $2 and events.kind = any($4)
        and not exists (
            select from webhook_deliveries
            where webhook_deliveries.webhook_id = $1 and webhook_deliveries.event_id = events.event_id
                and webhook_deliveries.state <> 'given_up'
        )
)
insert into webhook_deliveries (
    delivery_id, webhook_id, tenant_id, event_id, order_key, xid, seq, due_at, created_at)
select uuid_at($3), $1, owner, event_id, order_key, xid, seq, $3, $3
from lost
order by xid, seq
on conflict (webhook_id, event_id) do update
set state = 'pending', due_at = excluded.due_at, attempts = 0, ended_at = null
where webhook_deliveries.state = 'given_up'
