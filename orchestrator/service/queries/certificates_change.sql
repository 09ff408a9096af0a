-- The wishes as they are now. An order that still waits before the gate, and that nobody works on, follows when its names
-- are to be proven in another way: it has been waiting for the wrong thing.
with changed as (
    update certificates
    set names = string_to_array(wished.names, ','), challenge = wished.challenge, labels = wished.labels, given_up_at = null
    from unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[])
        as wished (certificate_id, names, challenge, labels)
    where certificates.certificate_id = wished.certificate_id and certificates.deleted_at is null
    returning certificates.certificate_id, certificates.challenge
)
update orders
set challenge = changed.challenge, proven_at = null, due_at = least(orders.due_at, $5)
from changed
where orders.certificate_id = changed.certificate_id
    and orders.challenge <> changed.challenge
    and orders.queue < 2
    and orders.lease_expires_at is null
