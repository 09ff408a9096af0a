-- $1 tenant or null, $2 now, $3 after, $4 rows; then the filters, each null where it does not matter:
-- $5 certificate, $6 tenant's slug, $7 external id, $8 hostname, $9 status
with seen as (
    select
        certificates.certificate_id, certificates.tenant_id, tenants.slug as tenant, certificates.external_id,
        certificates.names, certificates.challenge, certificates.labels, certificates.created_at,
        latest.order_id, latest.stage, latest.due_at,
        latest.fault_class, latest.fault_detail, latest.fault_hostname,
        current.serial, current.issuer, current.fingerprint_sha256,
        current.not_before, current.not_after, current.issued_at,
        renewals.renew_at, renewals.window_start, renewals.window_end, renewals.explanation_url,
        coalesce(renewals.queued_at is not null and latest.ended_at is null, false) as is_renewing,
        case
            when current.not_after > $2 and latest.stage in ('parked', 'failed', 'cancelled') then 'attention'
            when current.not_after > $2 and current.names @> certificates.names
                and current.names <@ certificates.names then 'active'
            when latest.stage = 'issued' then 'attention'
            when latest.stage = 'parked' then 'parked'
            when latest.stage in ('failed', 'cancelled') then 'failed'
            when latest.stage is null or latest.stage = 'accepted' then 'pending'
            else 'issuing'
        end as status
    from certificates
    join tenants using (tenant_id)
    left join lateral (
        select * from orders
        where orders.certificate_id = certificates.certificate_id
        order by accepted_at desc, order_id desc
        limit 1
    ) as latest on true
    left join lateral (
        select * from issued_certificates
        where issued_certificates.certificate_id = certificates.certificate_id
        order by issued_certificates.issued_at desc
        limit 1
    ) as current on true
    left join renewals
        on renewals.certificate_id = certificates.certificate_id and renewals.order_id = current.order_id
    where ($1::uuid is null or certificates.tenant_id = $1)
        and ($3::uuid is null or certificates.certificate_id > $3)
        and ($5::uuid is null or certificates.certificate_id = $5)
        and ($6::text is null or tenants.slug = $6)
        and ($7::text is null or certificates.external_id = $7)
        and ($8::text is null or certificates.certificate_id in (select * from certificates_named(array[$8])))
)
select
    certificate_id, tenant_id, tenant, external_id, names, challenge, labels, created_at,
    order_id as "order_id?", stage as "stage?", due_at as "due_at?",
    fault_class as "fault_class?", fault_detail as "fault_detail?", fault_hostname as "fault_hostname?",
    serial as "serial?", issuer as "issuer?", fingerprint_sha256 as "fingerprint_sha256?",
    not_before as "not_before?", not_after as "not_after?", issued_at as "issued_at?",
    renew_at as "renew_at?", window_start as "window_start?", window_end as "window_end?",
    explanation_url as "explanation_url?", is_renewing as "is_renewing!",
    status as "status!"
from seen
where $9::text is null or status = $9
order by certificate_id
limit $4
