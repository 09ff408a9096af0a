-- Reserves, in the transaction that has counted. The intent is committed with it: names, profile and
-- `replaces` stand in the row, and the request may leave once this is durable.
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
        charged = grant_.charged,
        fault_class = null,
        fault_detail = null,
        fault_hostname = null
    from unnest($1::uuid[], $4::bigint[], $5::timestamptz[], $6::text[], $7::boolean[])
        as grant_ (order_id, lease_epoch, proven_at, profile, charged)
    where orders.order_id = grant_.order_id and orders.lease_epoch = grant_.lease_epoch
    returning orders.order_id, orders.account_id, orders.admitted_at, orders.reserved_authorizations, orders.asks
),
-- What the CA will count, when it answers new-order or when it issues. One that is asked for again may be counted again.
held as (
    insert into limit_reservations (order_id, ca, limit_name, key, refill_micros)
    select granted.order_id, accounts.ca, held.limit_name, held.key, held.refill_micros
    from unnest($8::uuid[], $9::text[], $10::text[], $11::bigint[]) as held (order_id, limit_name, key, refill_micros)
    join granted using (order_id)
    join accounts using (account_id)
    on conflict (order_id, limit_name, key) do update set tokens = limit_reservations.tokens + 1
),
-- The lanes have come this far: to what was let through ($12), and not past whoever waits; and have been passed over so
-- often ($13).
clocked as (
    update accounts
    set passed_over = $13, fair_clock = array(
        select greatest(
            fair_clock[lane + 1],
            least(
                ($12::bigint[])[lane + 1],
                (
                    select min(orders.fair_tag) - 1
                    from orders
                    where orders.queue < 2
                        and (orders.in_line or orders.lease_expires_at is not null)
                        and orders.lane = lanes.lane
                        and orders.order_id <> all($1)
                )
            )
        )
        from generate_series(0, 3) as lanes (lane)
        order by lane
    )
    where account_id in (select account_id from granted)
)
select order_id, admitted_at as "admitted_at!", reserved_authorizations, asks from granted
