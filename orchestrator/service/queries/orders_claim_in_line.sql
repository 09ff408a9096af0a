-- Those in line of one queue: lane by lane as $5 says, in each by tag. Those at the head are few to find, however many wait.
with due as (
    select head.order_id
    from unnest($5::smallint[]) as turn (lane)
    cross join lateral (
        select order_id
        from orders
        where in_line and queue = $6 and lane = turn.lane and due_at <= $1
        order by fair_tag
        limit $2
        for update skip locked
    ) as head
    limit $2
)
update orders
set lease_epoch = lease_epoch + 1,
    lease_expires_at = $3,
    lease_holder = $4,
    due_at = $3,
    in_line = false,
    rescues = rescues + (lease_expires_at is not null)::integer
from due
where orders.order_id = due.order_id
returning
    orders.order_id, tenant_id, certificate_id, account_id, names, profile, replaces, lane, fair_tag,
    set_exempt_until, ari_exempt_from, ari_exempt_until, challenge, stage, lease_epoch,
    rescues, looks, failures, split, parted, proven_at, admitted_at, hold_until, reserved_authorizations, asks,
    ca_order_url, finalize_url, ca_expires_at, key_sealed, csr_der, certificate_url,
    fault_class, fault_detail, fault_hostname, ended_at, deferred_as, cancel_requested_at
