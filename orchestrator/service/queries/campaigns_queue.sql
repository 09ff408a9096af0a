-- What was decided about members of campaign $2 at $1, whose row is locked. An order is made only where nobody else has
-- decided about the renewal meanwhile, and not beside one for the same names; a member for which none was made waits on.
with turn as (
    select *
    from unnest(
        $3::uuid[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::timestamptz[], $9::timestamptz[], $10::uuid[],
        $11::text[], $12::boolean[], $13::smallint[], $14::boolean[], $15::timestamptz[], $16::timestamptz[], $17::timestamptz[]
    ) as turn (
        certificate_id, state, what, why, issued_by, seen_at, look_at, order_id, names, replaces, lane, may_split,
        set_exempt_until, ari_exempt_from, ari_exempt_until
    )
),
fenced as (
    update renewals
    set look_at = turn.look_at, poll_at = null, queued_at = $1
    from turn
    where turn.what = 'order'
        and renewals.certificate_id = turn.certificate_id
        and renewals.order_id = turn.issued_by
        and renewals.look_at = turn.seen_at
        and not exists (
            select
            from issued_certificates as own
            join issued_certificates as later using (certificate_id)
            where own.order_id = turn.issued_by
                and (later.issued_at, later.order_id) > (own.issued_at, own.order_id)
        )
    returning turn.*, renewals.renewal_id
),
ordered as (
    insert into orders (
        order_id, tenant_id, certificate_id, account_id, names, challenge, profile, replaces, lane, stage, due_at, accepted_at,
        split, set_exempt_until, ari_exempt_from, ari_exempt_until
    )
    select
        fenced.order_id, certificates.tenant_id, certificates.certificate_id, certificates.account_id,
        string_to_array(fenced.names, ','), certificates.challenge, certificates.profile,
        case when fenced.replaces then fenced.renewal_id end, fenced.lane, 'accepted', $1, $1,
        not fenced.may_split or certificates.csr_der is not null, fenced.set_exempt_until, fenced.ari_exempt_from,
        fenced.ari_exempt_until
    from fenced
    join certificates using (certificate_id)
    where certificates.deleted_at is null
        and certificates.given_up_at is null
        and certificates.paused_at is null
        and not exists (
            select
            from orders
            where orders.certificate_id = fenced.certificate_id
                and orders.ended_at is null
                and orders.names = string_to_array(fenced.names, ',')
        )
    returning certificate_id
),
-- What waits before the gate in a lane behind changes over, and lines up anew.
hastened as (
    update orders
    set lane = turn.lane, in_line = false
    from turn
    where turn.what = 'join'
        and orders.certificate_id = turn.certificate_id
        and orders.ended_at is null
        and orders.queue < 2
        and orders.lane > turn.lane
        and orders.lease_expires_at is null
),
moved as (
    update campaign_members
    set state = turn.state,
        why = turn.why,
        queued_at = case when turn.state = 'queued' then $1 end
    from turn
    where campaign_members.campaign_id = $2
        and campaign_members.certificate_id = turn.certificate_id
        and campaign_members.state = 'waiting'
        and (turn.what <> 'order'
            or exists (select from ordered where ordered.certificate_id = turn.certificate_id))
    returning turn.state
)
select state as "state!", count(*) as "members!"
from moved
group by state
