-- Plans for certificates just issued, in place of the plans for those before them: $1 orders, $2 renewal ids, $3 instants,
-- $4 polls. Each is made once, by whoever marks it first; where a later certificate is there already, its own counts.
with planned as (
    update issued_certificates
    set renewal_planned = true
    from unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[])
        as plan (order_id, renewal_id, renew_at, poll_at)
    where issued_certificates.order_id = plan.order_id and not issued_certificates.renewal_planned
    returning
        issued_certificates.order_id, issued_certificates.certificate_id, issued_certificates.account_id,
        issued_certificates.issued_at, issued_certificates.not_after, plan.renewal_id, plan.renew_at, plan.poll_at
),
latest as (
    select distinct on (certificate_id) *
    from planned
    order by certificate_id, issued_at desc, order_id desc
)
insert into renewals (certificate_id, account_id, order_id, renewal_id, not_after, renew_at, poll_at, look_at, held)
select
    latest.certificate_id, latest.account_id, latest.order_id, latest.renewal_id, latest.not_after, latest.renew_at, latest.poll_at,
    latest.renew_at,
    not certificates.auto_renew or certificates.paused_at is not null or certificates.deleted_at is not null
from latest join certificates using (certificate_id)
where not exists (
    select 1
    from issued_certificates as later
    where later.certificate_id = latest.certificate_id
        and (later.issued_at, later.order_id) > (latest.issued_at, latest.order_id)
)
and not exists (
    select 1
    from certificates
    where certificates.certificate_id = latest.certificate_id and certificates.given_up_at is not null
)
on conflict (certificate_id) do update
set order_id = excluded.order_id,
    renewal_id = excluded.renewal_id,
    not_after = excluded.not_after,
    renew_at = excluded.renew_at,
    at_once = false,
    window_start = null,
    window_end = null,
    explanation_url = null,
    poll_at = excluded.poll_at,
    polled_at = null,
    poll_failures = 0,
    look_at = excluded.look_at,
    held = excluded.held,
    queued_at = null,
    told_expiring = 0
