-- The current version, or the one named. $1 tenant or null, $2 labels that it has, $3 certificate, $4 order or null
select
    certificates.certificate_id, found.order_id as "order_id?", found.names as "names?",
    found.fingerprint_sha256 as "fingerprint_sha256?", found.chain_pem as "chain_pem?",
    found.key_sealed as "key_sealed?", found.not_before as "not_before?", found.not_after as "not_after?"
from certificates
left join lateral (
    select * from issued_certificates
    where issued_certificates.certificate_id = certificates.certificate_id
        and ($4::uuid is null or issued_certificates.order_id = $4)
    order by issued_certificates.issued_at desc, issued_certificates.order_id desc
    limit 1
) as found on true
where certificates.certificate_id = $3
    and certificates.deleted_at is null
    and ($1::uuid is null or certificates.tenant_id = $1)
    and certificates.labels @> $2
