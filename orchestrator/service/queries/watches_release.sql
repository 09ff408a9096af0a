-- Names of account $1 that a look saw right: each may be ordered from its instant on ($2 names, $3 instants), and orders
-- that wait for nothing else are due then. $4 now.
with released as (
    select * from unnest($2::text[], $3::timestamptz[]) as released (hostname, at)
),
before as (
    select hostname, told_as, released.at
    from hostname_backoffs
    join released using (hostname)
    where account_id = $1
    for update of hostname_backoffs
),
forgiven as (
    update hostname_backoffs
    set blocked_until = least(blocked_until, before.at),
        suspended_at = null,
        look_at = greatest(before.at, $4) + interval '2 minutes',
        told_as = case when before.told_as is not null then 'ready' end,
        told_class = null,
        told_at = case when before.told_as in ('failing', 'blocked') then $4 else hostname_backoffs.told_at end
    from before
    where hostname_backoffs.account_id = $1 and hostname_backoffs.hostname = before.hostname
),
-- Whoever was told that it fails is told that it does so no longer.
told as (
    insert into events (event_id, tenant_id, kind, subject, data, happened_at)
    select uuid_at($4), hostnames.tenant_id, 'hostname.ready', hostname, jsonb_build_object('hostname', hostname), $4
    from before
    join hostnames using (hostname)
    where before.told_as in ('failing', 'blocked')
),
waiting as (
    select order_id, due_at, max(released.at) as at
    from orders
    join released on orders.names && array[released.hostname, '*.' || released.hostname]
    where stage = 'parked' and account_id = $1 and lease_expires_at is null
        -- Another name of it that is not ready would only have it fail again.
        and not exists (
            select from hostname_backoffs as other
            where other.account_id = $1
                and orders.names && array[other.hostname, '*.' || other.hostname]
                and other.hostname <> all($2)
                and (other.suspended_at is not null or other.blocked_until > $4)
        )
    group by order_id
)
update orders
set due_at = waiting.at
from waiting
where orders.order_id = waiting.order_id and waiting.due_at > waiting.at and orders.lease_expires_at is null
returning orders.order_id
