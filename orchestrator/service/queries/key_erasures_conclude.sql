-- Certificates of account $1 that were removed and of which no key is left, nor can come: $3 at the most, at $2.
with erased as (
    update certificates set keys_erased_at = $2
    where certificate_id in (
        select certificate_id
        from certificates as removed
        where account_id = $1 and deleted_at is not null and keys_erased_at is null
            and not exists (
                select from orders
                where orders.certificate_id = removed.certificate_id
                    and (orders.ended_at is null or orders.lease_expires_at is not null or orders.key_sealed is not null)
            )
            and not exists (
                select from issued_certificates
                where issued_certificates.certificate_id = removed.certificate_id and key_sealed is not null
            )
        order by deleted_at
        limit $3
        for update skip locked
    )
    returning certificate_id, tenant_id
)
insert into events (event_id, tenant_id, certificate_id, kind, subject, data, happened_at)
select uuid_at($2), tenant_id, certificate_id, 'certificate.keys_erased', id_text('crt', certificate_id), '{}', $2
from erased
