-- What is on its way at the CA, oldest due first. A lease that ran out is due by itself: while it is held,
-- `due_at` is the instant it ends.
with due as (
    select order_id
    from orders
    where due_at <= $1 and queue = 2
    order by due_at
    limit $2
    for update skip locked
)
update orders
set lease_epoch = lease_epoch + 1,
    lease_expires_at = $3,
    lease_holder = $4,
    due_at = $3,
    rescues = rescues + (lease_expires_at is not null)::integer
from due
where orders.order_id = due.order_id
returning
    orders.order_id, tenant_id, certificate_id, account_id, names, profile, replaces, lane, fair_tag,
    set_exempt_until, ari_exempt_from, ari_exempt_until, challenge, stage, lease_epoch,
    rescues, looks, failures, split, parted, proven_at, admitted_at, hold_until, reserved_authorizations, asks,
    ca_order_url, finalize_url, ca_expires_at, key_sealed, csr_der, certificate_url,
    fault_class, fault_detail, fault_hostname, ended_at, deferred_as, cancel_requested_at
