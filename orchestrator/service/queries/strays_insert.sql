-- An order that has ended already, for authorizations that no other order can settle: it is due at once, and rests
-- when they are final. Accepted before the order it strayed from, so that the certificate's latest one stays that.
insert into orders (
    order_id, tenant_id, certificate_id, account_id, names, challenge, profile, lane, stage, due_at, split, admitted_at, hold_until,
    asks, ca_order_url, finalize_url, ca_expires_at, fault_class, fault_detail, accepted_at, ended_at
)
select
    $1, tenant_id, certificate_id, account_id, names, challenge, profile, lane, 'failed', $3, true, admitted_at, hold_until,
    asks, $4, $5, $6, 'ca_unreachable', $7, accepted_at - interval '1 microsecond', $3
from orders
where order_id = $2
