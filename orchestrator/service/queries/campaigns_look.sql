-- What has become of the next $4 of campaign $1 after $3 that are under way or have failed, as they stand at $2; $5: no key is
-- kept. Whatever moved is counted by where it was and where it is; the last row tells how far the look has come.
with member as (
    select certificate_id, order_id, spki_sha256, state, why, detail, queued_at
    from campaign_members
    where campaign_id = $1 and state in ('queued', 'failed') and ($3::uuid is null or certificate_id > $3)
    order by certificate_id
    limit $4
),
seen as (
    select
        member.*, current.order_id as current_order, latest.stage, latest.fault_class, latest.fault_detail,
        certificates.paused_at is not null as is_paused, needs.request as needs_request,
        case
            when current.order_id <> member.order_id
                and (not $5::boolean or current.spki_sha256 <> member.spki_sha256)
                -- Each name that is still wished has gone over.
                and not exists (
                    select
                    from unnest(old.names) as name
                    where name = any(certificates.names) and name <> all(current.names)
                ) then 'replaced'
            when certificates.deleted_at is not null or certificates.given_up_at is not null then 'skipped'
            when certificates.paused_at is not null then 'failed'
            when latest.is_open then case when latest.stage = 'parked' then 'failed' else 'queued' end
            when member.queued_at is null then case when needs.request then 'failed' else 'waiting' end
            -- It came about with the key that must go.
            when $5 and current.order_id <> member.order_id and current.spki_sha256 = member.spki_sha256 then 'waiting'
            else 'failed'
        end as next
    from member
    join certificates using (certificate_id)
    join issued_certificates as old on old.order_id = member.order_id
    cross join lateral (
        select *
        from issued_certificates
        where issued_certificates.certificate_id = member.certificate_id
        order by issued_certificates.issued_at desc, issued_certificates.order_id desc
        limit 1
    ) as current
    cross join lateral (
        select coalesce(
            certificates.csr_der is not null and (
                ((not certificates.reuse_key or $5) and current.issued_at > certificates.csr_received_at)
                or certificates.csr_received_at + certificates.key_days_max * interval '24 hours' <= $2),
            false) as request
    ) as needs
    left join lateral (
        select stage, fault_class, fault_detail, ended_at is null as is_open
        from orders
        where orders.certificate_id = member.certificate_id
            and orders.order_id <> old.order_id
            and (orders.ended_at is null or orders.accepted_at >= old.issued_at)
        order by ended_at is null desc, stage = 'parked', orders.names = certificates.names desc, accepted_at desc, order_id desc
        limit 1
    ) as latest on true
),
told as (
    select
        seen.*,
        case seen.next
            when 'skipped' then 'removed'
            when 'failed' then case
                when seen.is_paused then 'paused'
                when seen.needs_request and seen.queued_at is null then 'csr_needed'
                when seen.stage = 'cancelled' then 'cancelled'
                else coalesce(seen.fault_class, 'names_left_out')
            end
        end as next_why,
        case when seen.next = 'failed' and not seen.is_paused then seen.fault_detail end as next_detail
    from seen
),
moved as (
    update campaign_members
    set state = told.next,
        why = told.next_why,
        detail = told.next_detail,
        replaced_by = case when told.next = 'replaced' then told.current_order end,
        queued_at = case when told.next = 'waiting' then null else campaign_members.queued_at end
    from told
    where campaign_members.campaign_id = $1
        and campaign_members.certificate_id = told.certificate_id
        and (told.state, told.why, told.detail) is distinct from (told.next, told.next_why, told.next_detail)
    returning told.state, told.next
)
select state as "state!", next as "next!", count(*) as "members!", null::uuid as "last?"
from moved
group by state, next
union all
select '', '', count(*), (select certificate_id from member order by certificate_id desc limit 1)
from member
