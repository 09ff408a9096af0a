-- Certificates of account $1 that are past their renewal at $2 and have less than the share $3 of their lives left, or end by
-- $4 (a day), or have ended: each step is told once, up to $5.
with nearing as (
    select renewals.certificate_id,
        case when renewals.not_after <= $2 then 3 when renewals.not_after <= $4 then 2 else 1 end as step
    from renewals
    join issued_certificates using (order_id)
    join certificates on certificates.certificate_id = renewals.certificate_id and certificates.deleted_at is null
    where renewals.account_id = $1 and renewals.renew_at <= $2 and renewals.told_expiring < 3
        and renewals.not_after <= $2 + (renewals.not_after - issued_certificates.not_before) * $3::double precision
),
news as (
    update renewals
    set told_expiring = nearing.step
    from nearing
    where renewals.certificate_id = nearing.certificate_id and renewals.told_expiring < nearing.step
        and renewals.certificate_id in (
            select certificate_id from renewals join nearing using (certificate_id)
            where told_expiring < nearing.step order by not_after limit $5)
    returning renewals.certificate_id, renewals.not_after, renewals.renew_at, nearing.step
)
insert into events (event_id, tenant_id, certificate_id, kind, subject, data, happened_at)
select uuid_at($2), certificates.tenant_id, certificates.certificate_id, 'certificate.expiring',
    id_text('crt', certificates.certificate_id),
    jsonb_build_object(
        'external_id', certificates.external_id, 'names', certificates.names, 'not_after', news.not_after,
        'renewal_due_since', news.renew_at, 'expired', news.step = 3),
    $2
from news
join certificates using (certificate_id)
