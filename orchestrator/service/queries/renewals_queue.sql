-- What was decided about renewals at $1. A row counts only as it was when it was decided upon: whoever comes second, on
-- another replica, finds the next look moved, and orders nothing. And no order is made beside one for the same names.
with turn as (
    select *
    from unnest(
        $2::uuid[], $3::uuid[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::uuid[], $8::text[], $9::boolean[],
        $10::smallint[], $11::boolean[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[]
    ) as turn (
        certificate_id, issued_by, seen_at, look_at, what, order_id, names, replaces, lane, may_split, set_exempt_until,
        ari_exempt_from, ari_exempt_until
    )
),
fenced as (
    update renewals
    set look_at = turn.look_at,
        poll_at = case when turn.what = 'order' then null else renewals.poll_at end,
        queued_at = case when turn.what = 'order' then $1 else renewals.queued_at end
    from turn
    where renewals.certificate_id = turn.certificate_id
        and renewals.order_id = turn.issued_by
        and renewals.look_at = turn.seen_at
        -- Paused or removed since it was looked at.
        and not renewals.held
        and not exists (
            select 1
            from issued_certificates as own
            join issued_certificates as later using (certificate_id)
            where own.order_id = turn.issued_by
                and (later.issued_at, later.order_id) > (own.issued_at, own.order_id)
        )
    returning turn.*, renewals.renewal_id
),
queued as (
    insert into orders (
        order_id, tenant_id, certificate_id, account_id, names, challenge, profile, replaces, lane, stage, due_at, accepted_at,
        split, set_exempt_until, ari_exempt_from, ari_exempt_until
    )
    select
        fenced.order_id, certificates.tenant_id, certificates.certificate_id, certificates.account_id,
        string_to_array(fenced.names, ','), certificates.challenge, certificates.profile, case when fenced.replaces then fenced.renewal_id end,
        fenced.lane, 'accepted', $1, $1, not fenced.may_split or certificates.csr_der is not null, fenced.set_exempt_until, fenced.ari_exempt_from,
        fenced.ari_exempt_until
    from fenced
    join certificates using (certificate_id)
    where fenced.what = 'order'
        and certificates.deleted_at is null
        and certificates.given_up_at is null
        and not exists (
            select 1
            from orders
            where orders.certificate_id = fenced.certificate_id
                and orders.ended_at is null
                and orders.names = string_to_array(fenced.names, ',')
        )
    returning certificate_id
),
-- It goes to the first lane, looks at its names at once, and may leave some behind: the old certificate runs out.
hastened as (
    update orders
    set lane = 0, split = certificates.csr_der is not null, due_at = $1, in_line = false
    from fenced
    join certificates using (certificate_id)
    where fenced.what = 'hasten'
        and orders.certificate_id = fenced.certificate_id
        and orders.ended_at is null
        and orders.queue < 2
        and orders.lane <> 0
        and orders.lease_expires_at is null
    returning orders.certificate_id
)
select certificate_id as "certificate_id!", true as "is_new!" from queued
union all
select certificate_id, false from hastened
