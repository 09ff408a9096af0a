-- The attempt: one order for one set of names. Its row is also its place in the queue.
create table orders (
    order_id uuid primary key,
    tenant_id uuid not null references tenants,
    certificate_id uuid not null references certificates,
    account_id uuid not null references accounts,
    names text[] not null,
    profile text,
    replaces text,
    -- 0 urgent, 1 interactive, 2 renewal, 3 bulk
    lane smallint not null,
    stage text not null,
    -- Null: at rest. While a lease is held: the instant the lease ends.
    due_at timestamptz,
    lease_epoch bigint not null default 0,
    lease_expires_at timestamptz,
    -- The replica that holds it: one that comes back after a crash takes up its own at once.
    lease_holder uuid,
    -- Leases that ran out on this order since it last moved.
    rescues integer not null default 0,
    -- Looks at the CA's object since the stage last changed; sets the pace of polling.
    looks integer not null default 0,
    -- Attempts at this certificate that failed before, since the last success.
    failures integer not null default 0,
    -- The names that were ready have been given an order of their own.
    split boolean not null default false,
    -- Preflight saw every name answer at this instant.
    proven_at timestamptz,
    admitted_at timestamptz,
    -- The latest instant at which what a lost new-order may have created can still be pending.
    hold_until timestamptz,
    -- Units of the account's pending-authorization budget held for authorizations not yet in the ledger.
    reserved_authorizations integer not null default 0,
    -- new-order requests sent for this order, the first one included.
    asks integer not null default 0,
    ca_order_url text,
    finalize_url text,
    ca_expires_at timestamptz,
    -- The private key, sealed, and the request made with it: committed before finalize is sent.
    key_sealed bytea,
    csr_der bytea,
    certificate_url text,
    fault_class text,
    fault_detail text,
    fault_hostname text,
    accepted_at timestamptz not null,
    ended_at timestamptz,
    constraint orders_named check (cardinality(names) between 1 and 100),
    constraint orders_leased check ((lease_expires_at is null) = (lease_holder is null)),
    constraint orders_lane check (lane between 0 and 3),
    constraint orders_stage check (stage in (
        'accepted', 'parked', 'admitted', 'placed', 'presented', 'submitted', 'ready', 'finalizing',
        'issued', 'failed', 'cancelled')),
    -- Only an ended order rests, and an issued one always does; a failed or cancelled one first settles.
    constraint orders_at_rest check (due_at is not null or stage in ('issued', 'failed', 'cancelled')),
    constraint orders_issued_rests check (stage <> 'issued' or due_at is null),
    constraint orders_ended check ((stage in ('issued', 'failed', 'cancelled')) = (ended_at is not null)),
    constraint orders_admitted check (
        stage not in ('admitted', 'placed', 'presented', 'submitted', 'ready', 'finalizing', 'issued')
        or (admitted_at is not null and hold_until is not null and asks > 0)),
    constraint orders_reserve check (
        reserved_authorizations >= 0 and (stage <> 'admitted' or reserved_authorizations > 0)
        and (stage not in ('accepted', 'parked') or reserved_authorizations = 0)),
    constraint orders_at_the_ca check (
        (stage not in ('placed', 'presented', 'submitted', 'ready', 'finalizing', 'issued')
            or (ca_order_url is not null and finalize_url is not null and ca_expires_at is not null))
        and (stage not in ('accepted', 'parked', 'admitted') or ca_order_url is null)),
    constraint orders_with_a_key check (
        (stage not in ('finalizing', 'issued') or (key_sealed is not null and csr_der is not null))
        and ((key_sealed is null) = (csr_der is null))
        and (stage in ('finalizing', 'issued', 'failed', 'cancelled') or key_sealed is null)),
    constraint orders_with_a_fault check (
        (stage not in ('parked', 'failed') or fault_class is not null)
        and ((fault_class is null) = (fault_detail is null)))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- A CA hands the order of a failed attempt out again if it is ready; two that go on never share one.
create unique index orders_ca_order_url on orders (ca_order_url)
    where ca_order_url is not null and stage not in ('issued', 'failed', 'cancelled');
-- For the search of a lost order among those the ledger knows, ended ones too.
create index orders_known_ca_order_url on orders (ca_order_url) where ca_order_url is not null;

-- What is on its way at the CA goes first, whatever its lane: it holds budget.
create index orders_due_in_flight on orders (due_at)
    where due_at is not null and stage not in ('accepted', 'parked');
-- Proven at home and waiting for the gate.
create index orders_due_proven on orders (lane, due_at)
    where due_at is not null and stage = 'accepted' and proven_at is not null;
-- To be proven first.
create index orders_due_unproven on orders (lane, due_at)
    where due_at is not null and stage in ('accepted', 'parked') and proven_at is null;
create index orders_reserving on orders (account_id) where reserved_authorizations > 0;
create index orders_of_certificate on orders (certificate_id, accepted_at);
create index orders_of_tenant on orders (tenant_id, accepted_at, order_id);

-- One flight per validation target, whoever owns the order: two validations of one name in parallel spoil
-- each other's evidence.
create table flights (
    validation_target text primary key,
    order_id uuid not null references orders
);
create index flights_of_order on flights (order_id);

-- The ledger: every authorization the CA has created for us.
create table authorizations (
    authorization_id uuid primary key,
    tenant_id uuid not null references tenants,
    account_id uuid not null references accounts,
    order_id uuid not null references orders,
    url text not null,
    -- Null until it is read: a CA lists authorizations by URL, not by name.
    identifier text,
    wildcard boolean not null default false,
    -- As the CA last said it (RFC 8555 §7.1.6).
    status text not null,
    origin text not null,
    challenge_type text,
    challenge_url text,
    token text,
    key_authorization text,
    opened_at timestamptz not null,
    expires_at timestamptz not null,
    -- Committed before the challenge is posted.
    submit_intended_at timestamptz,
    -- The CA has acknowledged the challenge.
    submitted_at timestamptz,
    -- Committed before the deactivation is posted.
    deactivate_intended_at timestamptz,
    -- Submitted, deactivated or final: no longer open.
    settled_at timestamptz,
    -- The CA confirmed a status other than pending: the unit of budget is free again.
    final_at timestamptz,
    fault_class text,
    fault_detail text,
    constraint authorizations_url unique (url, order_id),
    constraint authorizations_status check (
        status in ('pending', 'valid', 'invalid', 'deactivated', 'expired', 'revoked')),
    constraint authorizations_origin check (origin in ('ours', 'adopted', 'recovered')),
    constraint authorizations_settled check (
        (settled_at is null) = (submitted_at is null and final_at is null)),
    constraint authorizations_final check ((status = 'pending') = (final_at is null)),
    constraint authorizations_submitted check (submitted_at is null or submit_intended_at is not null or origin <> 'ours'),
    constraint authorizations_challenge check (
        (challenge_url is null) = (token is null) and (token is null) = (key_authorization is null)
        and (challenge_url is null) = (challenge_type is null))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

create index authorizations_of_order on authorizations (order_id);
create index authorizations_holding_budget on authorizations (account_id) where final_at is null;
create index authorizations_open on authorizations (opened_at) where settled_at is null;
create index authorizations_of_tenant on authorizations (tenant_id, opened_at, authorization_id);
-- What the responder asks on every hit.
create index authorizations_token on authorizations (token) where final_at is null and token is not null;
