-- Reserves, in the transaction that has counted. The intent is committed with it: names, profile and
-- `replaces` stand in the row, and the request may leave once this is durable.
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
returning orders.order_id, orders.admitted_at as "admitted_at!", orders.reserved_authorizations, orders.asks
