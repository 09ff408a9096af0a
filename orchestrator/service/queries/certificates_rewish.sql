-- Certificate $1 as it is wished at $12; $13: also if its names had gone to another tenant. An order that still waits before the gate follows when its names are to be proven
-- in another way: it has been waiting for the wrong thing. Whoever works on it meanwhile finds its lease lost.
with changed as (
    update certificates
    set external_id = $2, names = $3, challenge = $4, labels = $5, key_type = $6, reuse_key = $7, key_days_max = $8,
        csr_der = $9, csr_received_at = $10, auto_renew = $11, updated_at = $12,
        given_up_at = case when not $13 then given_up_at end
    where certificate_id = $1
    returning certificate_id, challenge, auto_renew, paused_at
),
held as (
    update renewals
    set held = not changed.auto_renew or changed.paused_at is not null
    from changed
    where renewals.certificate_id = changed.certificate_id
)
update orders
set challenge = changed.challenge, proven_at = null, in_line = false,
    due_at = case when orders.paused then orders.due_at else least(orders.due_at, $12) end,
    lease_epoch = lease_epoch + 1, lease_expires_at = null, lease_holder = null
from changed
where orders.certificate_id = changed.certificate_id
    and orders.challenge <> changed.challenge
    and orders.ended_at is null
    and orders.queue < 2
