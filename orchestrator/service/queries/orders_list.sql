-- $1 tenant or null, $2 after, $3 rows; then the filters, each null where it does not matter:
-- $4 order, $5 tenant's slug, $6 certificate, $7 stage, $8 lane, $9 at rest or not
select
    orders.order_id, orders.tenant_id, tenants.slug as tenant, orders.certificate_id, orders.account_id,
    orders.names, orders.profile, orders.replaces, orders.lane, orders.stage, orders.due_at,
    orders.lease_expires_at, orders.rescues, orders.looks, orders.proven_at, orders.admitted_at,
    orders.hold_until, orders.reserved_authorizations, orders.asks, orders.ca_order_url,
    orders.ca_expires_at, orders.certificate_url,
    orders.fault_class, orders.fault_detail, orders.fault_hostname,
    orders.accepted_at, orders.cancel_requested_at, orders.ended_at,
    orders.in_line, orders.deferred_as, greatest(accounts.held_until, accounts.gate_closed_until) as "closed_until?"
from orders
join tenants using (tenant_id)
join accounts using (account_id)
where ($1::uuid is null or orders.tenant_id = $1)
    and ($2::uuid is null or orders.order_id > $2)
    and ($4::uuid is null or orders.order_id = $4)
    and ($5::text is null or tenants.slug = $5)
    and ($6::uuid is null or orders.certificate_id = $6)
    and ($7::text is null or orders.stage = $7)
    and ($8::smallint is null or orders.lane = $8)
    and ($9::boolean is null or (orders.due_at is null) = $9)
order by orders.order_id
limit $3
