-- The wish of certificate $1 about keys, and the key of the latest one issued, if it may be kept.
select
    certificates.key_type, certificates.reuse_key, certificates.key_days_max, certificates.csr_der,
    certificates.csr_received_at,
    coalesce(latest.issued_at > certificates.csr_received_at, false) as "csr_was_used!",
    coalesce(certificates.csr_der is not null and latest.issued_at > certificates.csr_received_at and latest.is_compromised, false)
        as "csr_is_compromised!",
    coalesce(latest.is_compromised, false) as "is_compromised!",
    latest.order_id as "order_id?", latest.key_sealed as "key_sealed?", latest.first_at as "first_at?"
from certificates
left join lateral (
    select
        issued.order_id, issued.key_sealed, issued.issued_at,
        (
            select min(same.issued_at)
            from issued_certificates as same
            where same.certificate_id = issued.certificate_id and same.spki_sha256 = issued.spki_sha256
        ) as first_at,
        exists (
            select
            from issued_certificates as same
            join revocations using (order_id)
            where same.certificate_id = issued.certificate_id
                and same.spki_sha256 = issued.spki_sha256
                and revocations.reason = 1
        )
        -- Or a campaign replaces it for the key's sake.
        or exists (
            select
            from campaign_members
            join campaigns using (campaign_id)
            where campaign_members.certificate_id = issued.certificate_id
                and campaign_members.spki_sha256 = issued.spki_sha256
                and campaigns.new_keys
                and campaigns.status <> 'cancelled'
        ) as is_compromised
    from issued_certificates as issued
    where issued.certificate_id = certificates.certificate_id
    order by issued.issued_at desc, issued.order_id desc
    limit 1
) as latest on certificates.reuse_key or certificates.csr_der is not null
where certificates.certificate_id = $1
