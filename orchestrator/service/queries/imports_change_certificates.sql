-- $1 import, $2 and $3 the lines after and up to, $4 now. As certificates_change does it.
with changed as (
    update certificates
    set names = items.names, challenge = items.challenge, labels = items.labels, given_up_at = null
    from import_items as items
    where items.import_id = $1 and items.line > $2 and items.line <= $3 and items.verdict = 'changed'
        and certificates.certificate_id = items.certificate_id and certificates.deleted_at is null
    returning certificates.certificate_id, certificates.challenge
)
update orders
set challenge = changed.challenge, proven_at = null, due_at = least(orders.due_at, $4)
from changed
where orders.certificate_id = changed.certificate_id
    and orders.challenge <> changed.challenge
    and orders.queue < 2
    and orders.lease_expires_at is null
