-- $1 tenant or null, $2 labels that each has, $3 rows
select
    certificates.certificate_id, certificates.external_id, current.order_id, current.names,
    current.fingerprint_sha256, current.not_after, current.key_sealed is not null as "has_key!"
from certificates
cross join lateral (
    select * from issued_certificates
    where issued_certificates.certificate_id = certificates.certificate_id
    order by issued_certificates.issued_at desc, issued_certificates.order_id desc
    limit 1
) as current
where ($1::uuid is null or certificates.tenant_id = $1)
    and certificates.deleted_at is null
    and ($2::jsonb = '{}' or certificates.certificate_id in (select * from certificates_labelled($2, $1)))
order by certificates.certificate_id
limit $3
