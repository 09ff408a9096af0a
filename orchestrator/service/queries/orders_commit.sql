-- The ends of many steps at once, each fenced by its lease: an order whose lease was lost is left alone, with
-- everything that hangs on it. Returns the orders that were written.
with step as (
    select *
    from unnest(
        $1::uuid[], $2::bigint[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::integer[], $7::integer[],
        $8::integer[], $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::integer[], $13::integer[],
        $14::text[], $15::text[], $16::timestamptz[], $17::bytea[], $18::bytea[], $19::text[], $20::text[],
        $21::text[], $22::text[], $23::timestamptz[], $24::text[], $25::boolean[], $60::boolean[], $61::boolean[],
        $62::timestamptz[], $63::timestamptz[], $64::timestamptz[], $65::boolean[], $66::text[]
    ) as step (
        order_id, lease_epoch, stage, due_at, lease_expires_at, looks, failures, parted, proven_at, admitted_at,
        hold_until, reserved_authorizations, asks, ca_order_url, finalize_url, ca_expires_at, key_sealed, csr_der,
        certificate_url, fault_class, fault_detail, fault_hostname, ended_at, replaces, lands, releases, in_line,
        set_exempt_until, ari_exempt_from, ari_exempt_until, unspent, deferred_as
    )
),
written as (
    update orders
    set stage = step.stage,
        due_at = step.due_at,
        lease_expires_at = step.lease_expires_at,
        lease_holder = case when step.lease_expires_at is not null then orders.lease_holder end,
        rescues = 0,
        looks = step.looks,
        failures = step.failures,
        parted = step.parted,
        proven_at = step.proven_at,
        admitted_at = step.admitted_at,
        hold_until = step.hold_until,
        reserved_authorizations = step.reserved_authorizations,
        asks = step.asks,
        ca_order_url = step.ca_order_url,
        finalize_url = step.finalize_url,
        ca_expires_at = step.ca_expires_at,
        key_sealed = step.key_sealed,
        csr_der = step.csr_der,
        certificate_url = step.certificate_url,
        fault_class = step.fault_class,
        fault_detail = step.fault_detail,
        fault_hostname = step.fault_hostname,
        ended_at = step.ended_at,
        replaces = step.replaces,
        in_line = step.in_line,
        set_exempt_until = step.set_exempt_until,
        ari_exempt_from = step.ari_exempt_from,
        ari_exempt_until = step.ari_exempt_until,
        deferred_as = step.deferred_as
    from step
    where orders.order_id = step.order_id and orders.lease_epoch = step.lease_epoch
    returning orders.order_id, orders.tenant_id, orders.certificate_id, orders.account_id, orders.names,
        orders.key_sealed, orders.stage, step.lands, step.releases, step.unspent and orders.charged as unspent
),
ledger as (
    insert into authorizations (
        authorization_id, tenant_id, account_id, order_id, url, identifier, wildcard, status, origin,
        challenge_type, challenge_url, token, key_authorization, opened_at, expires_at, submit_intended_at,
        submitted_at, deactivate_intended_at, settled_at, final_at, fault_class, fault_detail, settle_at)
    select
        entry.authorization_id, written.tenant_id, written.account_id, written.order_id, entry.url,
        entry.identifier, entry.wildcard, entry.status, entry.origin, entry.challenge_type, entry.challenge_url,
        entry.token, entry.key_authorization, entry.opened_at, entry.expires_at, entry.submit_intended_at,
        entry.submitted_at, entry.deactivate_intended_at, entry.settled_at, entry.final_at, entry.fault_class,
        entry.fault_detail, entry.settle_at
    from unnest(
        $26::uuid[], $27::uuid[], $28::text[], $29::text[], $30::boolean[], $31::text[], $32::text[], $33::text[],
        $34::text[], $35::text[], $36::text[], $37::timestamptz[], $38::timestamptz[], $39::timestamptz[],
        $40::timestamptz[], $41::timestamptz[], $42::timestamptz[], $43::timestamptz[], $44::text[], $45::text[],
        $46::timestamptz[]
    ) as entry (
        order_id, authorization_id, url, identifier, wildcard, status, origin, challenge_type, challenge_url,
        token, key_authorization, opened_at, expires_at, submit_intended_at, submitted_at, deactivate_intended_at,
        settled_at, final_at, fault_class, fault_detail, settle_at
    )
    join written using (order_id)
    on conflict (url, order_id) do update
    set identifier = excluded.identifier,
        wildcard = excluded.wildcard,
        status = excluded.status,
        challenge_type = excluded.challenge_type,
        challenge_url = excluded.challenge_url,
        token = excluded.token,
        key_authorization = excluded.key_authorization,
        expires_at = excluded.expires_at,
        submit_intended_at = excluded.submit_intended_at,
        submitted_at = excluded.submitted_at,
        deactivate_intended_at = excluded.deactivate_intended_at,
        settled_at = excluded.settled_at,
        final_at = excluded.final_at,
        fault_class = excluded.fault_class,
        fault_detail = excluded.fault_detail,
        settle_at = excluded.settle_at
),
landed as (
    delete from flights using written where flights.order_id = written.order_id and written.lands
),
chain as (
    select *
    from unnest(
        $48::uuid[], $49::text[], $50::bytea[], $51::bytea[], $52::text[], $53::text[], $54::timestamptz[],
        $55::timestamptz[]
    ) as chain (
        order_id, serial, fingerprint_sha256, spki_sha256, issuer, chain_pem, not_before, not_after
    )
    join written using (order_id)
),
issued as (
    insert into issued_certificates (
        order_id, certificate_id, tenant_id, account_id, names, serial, fingerprint_sha256, spki_sha256, issuer,
        chain_pem, key_sealed, not_before, not_after, issued_at)
    select
        order_id, certificate_id, tenant_id, account_id, names, serial, fingerprint_sha256, spki_sha256, issuer,
        chain_pem, key_sealed, not_before, not_after, $47
    from chain
    on conflict (order_id) do nothing
    returning order_id, account_id, names
),
-- What was held of limits for an order that is over, or back home; and its new-order token, once it is known what became
-- of new-order.
released as (
    delete from limit_reservations
    using written
    where limit_reservations.order_id = written.order_id
        and (written.releases or (limit_name = 'new_orders_per_account' and written.stage <> 'admitted'))
    returning limit_reservations.order_id, limit_reservations.ca, limit_name, key, refill_micros,
        tokens - (limit_name = 'new_orders_per_account' and written.unspent)::integer as tokens
),
-- The CA has counted by now: new-orders, unless it said that it did not; the rest where it has issued.
taken as (
    select ca, limit_name, key, sum(refill_micros * tokens)::bigint as micros
    from released left join issued using (order_id)
    where tokens > 0 and (limit_name = 'new_orders_per_account' or issued.order_id is not null)
    group by ca, limit_name, key
),
counted as (
    insert into buckets (ca, limit_name, key, full_at, proven_micros)
    select ca, limit_name, key, $47 + micros * interval '1 microsecond', micros
    from taken
    -- Everybody takes these locks in one order.
    order by ca, limit_name, key
    on conflict (ca, limit_name, key) do update
    set full_at = greatest(buckets.full_at, $47) + (excluded.full_at - $47),
        proven_micros = greatest(
            buckets.proven_micros,
            extract(epoch from greatest(buckets.full_at - $47, interval '0')) * 1000000 + excluded.proven_micros)
),
remembered as (
    insert into issued_sets (ca, set_key, issued_at)
    select distinct
        accounts.ca, encode(sha256(convert_to(array_to_string(issued.names, ','), 'UTF8')), 'hex') as set_key, $47
    from issued join accounts using (account_id)
    order by 1, 2
    on conflict (ca, set_key) do update set issued_at = greatest(issued_sets.issued_at, excluded.issued_at)
),
-- The CA has validated these names: what was remembered against them is forgotten.
forgiven as (
    delete from hostname_backoffs
    using (
        select account_id, tenant_id, ltrim(name, '*.') as hostname from chain, unnest(chain.names) as name
    ) as validated
    where hostname_backoffs.account_id = validated.account_id
        and hostname_backoffs.hostname = validated.hostname
    returning validated.tenant_id, hostname_backoffs.hostname, hostname_backoffs.told_as
),
-- And the CA has forgotten how often they failed in a row: a bucket without a row is full.
refilled as (
    delete from buckets
    using (
        select accounts.ca, concat(chain.account_id, '/', name) as key
        from chain join accounts using (account_id), unnest(chain.names) as name
    ) as validated
    where buckets.ca = validated.ca
        and buckets.limit_name = 'consecutive_failures_per_hostname'
        and buckets.key = validated.key
),
announced as (
    insert into events (event_id, tenant_id, kind, subject, certificate_id, order_id, data, happened_at)
    select event.event_id, written.tenant_id,
        case
            when event.kind = 'certificate.issued' and exists (
                select from issued_certificates as earlier
                where earlier.certificate_id = written.certificate_id and earlier.order_id <> written.order_id
            ) then 'certificate.renewed'
            else event.kind
        end,
        event.subject, written.certificate_id, written.order_id, event.data, $47
    from unnest($56::uuid[], $57::uuid[], $58::text[], $59::jsonb[], $67::text[])
        as event (order_id, event_id, kind, data, subject)
    join written using (order_id)
    -- What failed for the same cause less than a day ago, with nothing issued since, is no news.
    where event.kind <> 'certificate.failed' or not exists (
        select from orders as earlier
        where earlier.certificate_id = written.certificate_id and earlier.order_id <> written.order_id
            and earlier.stage = 'failed' and earlier.ended_at > $47 - interval '24 hours'
            and earlier.fault_class = event.data -> 'fault' ->> 'class'
            and earlier.fault_hostname is not distinct from event.data -> 'fault' ->> 'hostname'
            and not exists (
                select from issued_certificates as since
                where since.certificate_id = written.certificate_id and since.issued_at > earlier.ended_at
            )
    )
    on conflict (event_id) do nothing
),
-- Whoever was told that a name fails is told that it does so no longer.
released_names as (
    insert into events (event_id, tenant_id, kind, subject, data, happened_at)
    select uuid_at($47), forgiven.tenant_id, 'hostname.ready', forgiven.hostname,
        jsonb_build_object('hostname', forgiven.hostname), $47
    from forgiven
    where forgiven.told_as in ('failing', 'blocked')
)
select order_id from written
