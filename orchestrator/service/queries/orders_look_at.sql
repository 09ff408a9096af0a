select
    order_id, tenant_id, certificate_id, account_id, names, profile, replaces, lane, fair_tag,
    set_exempt_until, ari_exempt_from, ari_exempt_until, challenge, stage, lease_epoch,
    rescues, looks, failures, split, parted, proven_at, admitted_at, hold_until, reserved_authorizations, asks,
    ca_order_url, finalize_url, ca_expires_at, key_sealed, csr_der, certificate_url,
    fault_class, fault_detail, fault_hostname, ended_at, deferred_as, cancel_requested_at
from orders
where order_id = $1
