-- The same of versions that are named by serials ($2), by keys ($3) or by both, issued from $4 to $5: all of them at once.
-- $1 tenant or null, $6 now; then what they must have besides, each null where it does not matter: $7 issuer, $8 account,
-- $9 profile, $10 slug, $11 labels.
with scanned as materialized (
    select order_id, certificate_id, tenant_id, account_id, names, serial, spki_sha256, issuer, not_after, issued_at
    from issued_certificates
    where serial = any($2) and ($3::bytea[] = '{}' or spki_sha256 = any($3))
    union all
    select order_id, certificate_id, tenant_id, account_id, names, serial, spki_sha256, issuer, not_after, issued_at
    from issued_certificates
    where $2::text[] = '{}' and spki_sha256 = any($3)
)
select
    scanned.order_id as "order_id!", scanned.certificate_id as "certificate_id!", scanned.tenant_id as "tenant_id!",
    scanned.account_id as "account_id!", tenants.slug as "slug!", scanned.names as "names!", certificates.names as "wished!",
    scanned.serial as "serial!", scanned.spki_sha256 as "spki_sha256!", scanned.issued_at as "issued_at!",
    true as "fits!", false as "is_last!",
    certificates.deleted_at is not null or certificates.given_up_at is not null as "is_removed!",
    scanned.not_after <= $6 as "is_expired!",
    exists (
        select
        from issued_certificates as later
        where later.certificate_id = scanned.certificate_id
            and (later.issued_at, later.order_id) > (scanned.issued_at, scanned.order_id)
    ) as "is_superseded!",
    case when renewals.renewal_id is not null then renewals.window_start end as "window_start?",
    case when renewals.renewal_id is not null then renewals.window_end end as "window_end?"
from scanned
join certificates using (certificate_id)
join tenants on tenants.tenant_id = scanned.tenant_id
left join renewals on renewals.certificate_id = scanned.certificate_id and renewals.order_id = scanned.order_id
where ($1::uuid is null or scanned.tenant_id = $1)
    and scanned.issued_at >= $4
    and scanned.issued_at <= $5
    and ($7::text is null or scanned.issuer = $7 or substring(scanned.issuer from 'CN=([^,]+)') = $7)
    and ($8::uuid is null or scanned.account_id = $8)
    and ($9::text is null or exists (
        select from orders where orders.order_id = scanned.order_id and orders.profile = $9))
    and ($10::text is null or tenants.slug = $10)
    and ($11::jsonb = '{}' or certificates.labels @> $11)
