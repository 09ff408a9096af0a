-- Certificates of account $1 that were removed and whose orders have ended, $2 at the most: their keys are erased.
with removed as (
    select certificate_id
    from certificates
    where account_id = $1 and deleted_at is not null and keys_erased_at is null
        and not exists (
            select from orders
            where orders.certificate_id = certificates.certificate_id
                and (orders.ended_at is null or orders.lease_expires_at is not null)
        )
    order by deleted_at
    limit $2
),
versions as (
    update issued_certificates set key_sealed = null
    from removed
    where issued_certificates.certificate_id = removed.certificate_id and key_sealed is not null
)
update orders set key_sealed = null
from removed
where orders.certificate_id = removed.certificate_id
    and orders.key_sealed is not null
    -- Whoever has taken it since the look has the key in hand.
    and orders.ended_at is not null and orders.lease_expires_at is null
