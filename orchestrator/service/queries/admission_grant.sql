-- Reserves, in the transaction that has counted. The intent is committed with it: names, profile and
-- `replaces` stand in the row, and the request may leave once this is durable. Where anything is granted, the bucket
-- of new orders is full again at $7 (null: the CA has no such limit).
with granted as (
    update orders
    set stage = 'admitted',
        proven_at = grant_.proven_at,
        admitted_at = $2,
        hold_until = $3,
        reserved_authorizations = orders.reserved_authorizations + cardinality(orders.names),
        asks = orders.asks + 1,
        looks = 0,
        profile = grant_.profile,
        fault_class = null,
        fault_detail = null,
        fault_hostname = null
    from unnest($1::uuid[], $4::bigint[], $5::timestamptz[], $6::text[])
        as grant_ (order_id, lease_epoch, proven_at, profile)
    where orders.order_id = grant_.order_id and orders.lease_epoch = grant_.lease_epoch
    returning orders.order_id, orders.account_id, orders.admitted_at, orders.reserved_authorizations, orders.asks
),
spent as (
    insert into limits (account_id, limit_name, key, full_at)
    select distinct account_id, 'new_orders_per_account', '', $7::timestamptz
    from granted
    where $7::timestamptz is not null
    on conflict (account_id, limit_name, key) do update set full_at = excluded.full_at
)
select order_id, admitted_at as "admitted_at!", reserved_authorizations, asks from granted
