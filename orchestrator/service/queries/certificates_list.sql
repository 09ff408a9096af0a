-- $1 tenant or null, $2 now, $3 after, $4 rows; then the filters, each null where it does not matter:
-- $5 certificate, $6 tenant's slug, $7 external id, $8 hostname, $9 status, $10 labels, $11 failure class, $12 expires before;
-- $13 the only ones that are looked at
with seen as (
    select
        certificates.certificate_id, certificates.tenant_id, tenants.slug as tenant, certificates.external_id,
        certificates.names, certificates.challenge, certificates.labels, certificates.created_at, certificates.updated_at,
        certificates.version, certificates.key_type, certificates.reuse_key, certificates.key_days_max,
        certificates.csr_received_at, certificates.auto_renew, certificates.paused_at,
        latest.order_id, latest.stage, latest.due_at, latest.failures,
        -- A limit keeps it, and nothing else: no worker has it.
        case when latest.stage = 'accepted' and latest.lease_expires_at is null
            then greatest(latest.due_at, accounts.held_until, accounts.gate_closed_until) end as limited_until,
        revocations.requested_at as revocation_requested_at, revocations.revoked_at, revocations.reason as revocation_reason,
        coalesce(
            certificates.csr_received_at is not null and (
                (not certificates.reuse_key and current.issued_at > certificates.csr_received_at)
                or certificates.csr_received_at + certificates.key_days_max * interval '24 hours' <= $2),
            false) as needs_request,
        latest.fault_class, latest.fault_detail, latest.fault_hostname,
        current.serial, current.issuer, current.fingerprint_sha256,
        current.not_before, current.not_after, current.issued_at,
        renewals.renew_at, renewals.window_start, renewals.window_end, renewals.explanation_url,
        coalesce(renewals.queued_at is not null and latest.ended_at is null, false) as is_renewing,
        case
            when revocations.revoked_at is not null then 'revoked'
            when certificates.paused_at is not null then 'paused'
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
    join accounts using (account_id)
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
    left join revocations on revocations.order_id = current.order_id
    where certificates.deleted_at is null
        and ($1::uuid is null or certificates.tenant_id = $1)
        and ($3::uuid is null or certificates.certificate_id > $3)
        and ($5::uuid is null or certificates.certificate_id = $5)
        and ($6::text is null or tenants.slug = $6)
        and ($7::text is null or certificates.external_id = $7)
        and ($8::text is null or certificates.certificate_id in (select * from certificates_named(array[$8])))
        and ($10::jsonb is null or certificates.labels @> $10)
        and ($11::text is null or latest.fault_class = $11)
        and ($12::timestamptz is null or current.not_after < $12)
        and ($13::uuid[] is null or certificates.certificate_id = any($13))
)
select
    certificate_id, tenant_id, tenant, external_id, names, challenge, labels, created_at, updated_at, version,
    key_type, reuse_key, key_days_max, csr_received_at, auto_renew, paused_at, needs_request as "needs_request!",
    revocation_requested_at as "revocation_requested_at?", revoked_at as "revoked_at?", revocation_reason as "revocation_reason?",
    limited_until as "limited_until?", failures as "failures?",
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
