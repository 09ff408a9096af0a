-- One order whose new-order may have been executed, unless somebody works on it.
update orders
set lease_epoch = lease_epoch + 1,
    lease_expires_at = $3,
    lease_holder = $4,
    due_at = $3
where order_id = $1 and stage = 'admitted' and (lease_expires_at is null or lease_expires_at <= $2)
returning
    orders.order_id, tenant_id, certificate_id, account_id, names, profile, replaces, lane, fair_tag,
    set_exempt_until, ari_exempt_from, ari_exempt_until, challenge, stage, lease_epoch,
    rescues, looks, failures, split, parted, proven_at, admitted_at, hold_until, reserved_authorizations, asks,
    ca_order_url, finalize_url, ca_expires_at, key_sealed, csr_der, certificate_url,
    fault_class, fault_detail, fault_hostname, ended_at, deferred_as, cancel_requested_at
