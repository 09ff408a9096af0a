-- What one attempt at delivery $1 under epoch $2 has brought, at $3: its state $4, and when it is due again ($5). The
-- attempt itself: $6 its id, $7 how it went, $8 status, $9 detail, $10 milliseconds. Returns nothing where the lease was lost.
with ended as (
    update webhook_deliveries
    set state = $4, due_at = $5, lease_holder = null, attempts = attempts + 1,
        ended_at = case when $4 <> 'pending' then $3::timestamptz end
    where delivery_id = $1 and lease_epoch = $2 and lease_holder is not null
    returning delivery_id, webhook_id, tenant_id, order_key, attempts
),
logged as (
    insert into webhook_attempts (
        attempt_id, delivery_id, webhook_id, tenant_id, number, outcome, http_status, detail, took_ms, at)
    select $6, delivery_id, webhook_id, tenant_id, attempts, $7, $8, $9, $10, $3
    from ended
),
-- What waits for it need not be looked at before it; and at once, where it waits no longer.
followers as (
    update webhook_deliveries as later
    set due_at = coalesce($5, $3)
    from ended
    where later.webhook_id = ended.webhook_id and later.order_key = ended.order_key
        and later.state = 'pending' and later.lease_holder is null and later.delivery_id <> ended.delivery_id
        and (ended.attempts > 1 or $5 is not null) and later.due_at <> coalesce($5, $3)
),
standing as (
    update webhooks
    set failing_since = case when $7 <> 'delivered' then coalesce(failing_since, $3) end,
        failures = case when $7 <> 'delivered' then failures + 1 else 0 end
    from ended
    where webhooks.webhook_id = ended.webhook_id and ($7 <> 'delivered' or failing_since is not null)
)
select delivery_id from ended
