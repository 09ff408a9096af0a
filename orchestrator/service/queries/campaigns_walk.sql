-- Versions that a campaign may be about, in the order in which they were issued: those of the next $5 after ($2, $3) and up
-- to $4 that fit, and the last one looked at, which tells where to go on. $1 tenant or null, $6 now; then what they must
-- have, each null where it does not matter: $7 issuer, $8 account, $9 profile, $10 slug, $11 labels.
with scanned as materialized (
    select order_id, certificate_id, tenant_id, account_id, names, serial, spki_sha256, issuer, not_after, issued_at
    from issued_certificates
    where issued_at >= $2
        and (issued_at, order_id) > ($2, $3)
        and issued_at <= $4
        and ($1::uuid is null or tenant_id = $1)
    order by issued_at, order_id
    limit $5
),
judged as (
    select
        scanned.*, tenants.slug, certificates.names as wished,
        certificates.deleted_at is not null or certificates.given_up_at is not null as is_removed,
        ($7::text is null or scanned.issuer = $7 or substring(scanned.issuer from 'CN=([^,]+)') = $7)
            and ($8::uuid is null or scanned.account_id = $8)
            and ($9::text is null or exists (
                select from orders where orders.order_id = scanned.order_id and orders.profile = $9))
            and ($10::text is null or tenants.slug = $10)
            and ($11::jsonb = '{}' or certificates.labels @> $11) as fits,
        scanned.order_id = (
            select last.order_id from scanned as last order by last.issued_at desc, last.order_id desc limit 1
        ) as is_last
    from scanned
    join certificates using (certificate_id)
    join tenants on tenants.tenant_id = scanned.tenant_id
)
select
    judged.order_id as "order_id!", judged.certificate_id as "certificate_id!", judged.tenant_id as "tenant_id!",
    judged.account_id as "account_id!", judged.slug as "slug!", judged.names as "names!", judged.wished as "wished!",
    judged.serial as "serial!", judged.spki_sha256 as "spki_sha256!", judged.issued_at as "issued_at!",
    judged.fits as "fits!", judged.is_last as "is_last!",
    judged.is_removed as "is_removed!", judged.not_after <= $6 as "is_expired!",
    exists (
        select
        from issued_certificates as later
        where later.certificate_id = judged.certificate_id
            and (later.issued_at, later.order_id) > (judged.issued_at, judged.order_id)
    ) as "is_superseded!",
    case when renewals.renewal_id is not null then renewals.window_start end as "window_start?",
    case when renewals.renewal_id is not null then renewals.window_end end as "window_end?"
from judged
left join renewals on renewals.certificate_id = judged.certificate_id and renewals.order_id = judged.order_id
where judged.fits or judged.is_last
order by judged.issued_at, judged.order_id
