-- $1 tenant or null, $2 now, $3 account, $4 after, $5 rows; then the filters, each null where it does not matter: $6 tenant's
-- slug, $7 external id, $8 labels, $9 how it begins, $10 what comes after all that begin so, $11 status, $12 failure class;
-- $13 the only names that are looked at.
-- The words for a status are found as `explanations` finds them.
with seen as (
    select
        hostnames.hostname, hostnames.tenant_id, tenants.slug as tenant,
        coalesce(hostnames.external_id, wished.external_id) as external_id,
        hostnames.labels, hostnames.version, wished.certificate_id,
        case when rest.suspended_at is null then wished.due_at end as due_at,
        case when rest.fault_class is not null or wished.stage in ('parked', 'failed')
            then coalesce(rest.fault_class, wished.fault_class) end as fault_class,
        case
            when wished.certificate_id is null then 'unused'
            when rest.suspended_at is not null then 'suspended'
            when coalesce(rest.fault_class, wished.fault_class) = 'paused_at_ca' then 'paused_at_ca'
            when wished.stage = 'parked' and coalesce(rest.fault_class, wished.fault_class) is not null
                then case when rest.at_ca then 'resting' else 'not_ready' end
            when wished.stage = 'parked' then case when wished.is_certified then 'active' else 'issuing' end
            when wished.stage in ('failed', 'cancelled') then 'failed'
            when wished.is_certified then 'active'
            when wished.stage = 'accepted' and not wished.is_in_hand
                and greatest(wished.due_at, accounts.held_until, accounts.gate_closed_until) > $2
                then 'rate_limited'
            else 'issuing'
        end as status
    from hostnames
    join tenants using (tenant_id)
    left join accounts on accounts.account_id = $3
    left join hostname_backoffs as rest on rest.account_id = $3 and rest.hostname = hostnames.hostname
    left join lateral (
        select
            certificates.certificate_id, certificates.external_id, latest.stage, latest.due_at,
            latest.lease_expires_at is not null as is_in_hand,
            case when latest.fault_hostname is null or latest.fault_hostname = hostnames.hostname
                then latest.fault_class end as fault_class,
            coalesce(current.not_after > $2, false) as is_certified
        from certificates
        left join lateral (
            select * from orders
            where orders.certificate_id = certificates.certificate_id and orders.names @> array[hostnames.hostname]
            order by accepted_at desc, order_id desc
            limit 1
        ) as latest on true
        left join lateral (
            select max(not_after) as not_after from issued_certificates
            where issued_certificates.certificate_id = certificates.certificate_id
                and issued_certificates.names @> array[hostnames.hostname]
        ) as current on true
        where certificates.certificate_id in (select * from certificates_named(array[hostnames.hostname]))
            and certificates.tenant_id = hostnames.tenant_id
            and certificates.deleted_at is null
        order by coalesce(current.not_after > $2, false), certificates.certificate_id
        limit 1
    ) as wished on true
    where hostnames.releasing_since is null
        and ($13::text[] is null or hostnames.hostname = any($13))
        and ($1::uuid is null or hostnames.tenant_id = $1)
        and ($4::text is null or hostnames.hostname collate "C" > $4)
        and ($6::text is null or tenants.slug = $6)
        and ($7::text is null or coalesce(hostnames.external_id, wished.external_id) = $7)
        and ($8::jsonb is null or hostnames.labels @> $8)
        and ($9::text is null or hostnames.hostname collate "C" >= $9)
        and ($10::text is null or hostnames.hostname collate "C" < $10)
)
select
    hostname, tenant_id, tenant, external_id as "external_id?", labels, version, certificate_id as "certificate_id?",
    due_at as "due_at?", fault_class as "fault_class?", status as "status!"
from seen
where ($11::text is null or status = $11)
    and ($12::text is null or fault_class = $12)
order by hostname collate "C"
limit $5
