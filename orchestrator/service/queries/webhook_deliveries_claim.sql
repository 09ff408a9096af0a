-- Claims what may be sent at $1, up to $2 in all and $3 of one webhook; of one that only fails, one at a time. $4 when the
-- lease ends, $5 whose it is. What was told earlier of the same key goes first: while that is pending, nothing else of it
-- is claimed. A lease that ran out is due by itself.
with open as (
    select
        webhooks.webhook_id,
        (case when webhooks.failures >= 3 then 1 else $3 end)
            - (
                select count(*) from webhook_deliveries as held
                where held.webhook_id = webhooks.webhook_id and held.state = 'pending'
                    and held.lease_holder is not null and held.due_at > $1
            ) as room
    from webhooks
    where webhooks.enabled and webhooks.disabled_at is null
        and exists (
            select from webhook_deliveries as due
            where due.webhook_id = webhooks.webhook_id and due.state = 'pending' and due.due_at <= $1
        )
),
due as (
    select head.delivery_id
    from open
    cross join lateral (
        select delivery_id
        from webhook_deliveries as delivery
        where delivery.webhook_id = open.webhook_id and delivery.state = 'pending' and delivery.due_at <= $1
            and not exists (
                select from webhook_deliveries as earlier
                where earlier.webhook_id = delivery.webhook_id
                    and earlier.order_key = delivery.order_key
                    and earlier.state = 'pending'
                    and (earlier.xid, earlier.seq) < (delivery.xid, delivery.seq)
            )
        order by delivery.due_at, delivery.xid, delivery.seq
        limit greatest(open.room, 0)
        for update skip locked
    ) as head
    limit $2
),
claimed as (
    update webhook_deliveries
    set lease_epoch = lease_epoch + 1, lease_holder = $5, due_at = $4
    from due
    where webhook_deliveries.delivery_id = due.delivery_id
    returning
        webhook_deliveries.delivery_id, webhook_deliveries.webhook_id, event_id, lease_epoch, attempts,
        webhook_deliveries.xid, webhook_deliveries.seq
)
select
    claimed.delivery_id as "delivery_id!", claimed.webhook_id as "webhook_id!", claimed.lease_epoch as "lease_epoch!",
    claimed.attempts as "attempts!", webhooks.url, webhooks.secret_sealed, webhooks.previous_secret_sealed,
    webhooks.previous_secret_until, webhooks.failing_since, events.event_id, events.kind,
    events.tenant_id as "tenant_id?", events.certificate_id as "certificate_id?", events.subject, events.data,
    events.happened_at
from claimed
join webhooks using (webhook_id)
join events using (event_id)
order by claimed.xid, claimed.seq
