-- What the last check of a name found, whoever asked for it. Written beside the orders: one that is lost is made again.
create table hostname_checks (
    hostname text primary key,
    tenant_id uuid not null references tenants,
    account_id uuid not null references accounts,
    -- Null: no check has been made yet.
    checked_at timestamptz,
    verdict text,
    fault_class text,
    fault_detail text,
    findings jsonb not null default '[]',
    -- Somebody wants it checked now. Null: nobody, or it has been.
    wished_at timestamptz,
    -- What was said before the CA was asked, and when: to be held against what the CA says.
    said_at timestamptz,
    said_ready text[] not null default '{}',
    said_not_ready text[] not null default '{}',
    -- The last failed validation, as the CA told it.
    ca_problem jsonb,
    ca_problem_at timestamptz,
    -- The CA has offered to prove it by a record that stays (dns-persist-01).
    persist_offered_at timestamptz,
    constraint hostname_checks_verdict check (verdict in ('ready', 'not_ready', 'unknown')),
    constraint hostname_checks_made check ((checked_at is null) = (verdict is null)),
    constraint hostname_checks_problem check ((ca_problem is null) = (ca_problem_at is null))
) with (fillfactor = 70);
create index hostname_checks_wished on hostname_checks (account_id, wished_at) where wished_at is not null;

-- When a name that is not ready is looked at again, beside when the CA may be asked again.
alter table hostname_backoffs
    add column broken_since timestamptz,
    add column look_at timestamptz,
    -- Our own check has seen it fail then, and the CA has not failed it since.
    add column seen_failing_at timestamptz,
    -- Given up: neither looked at nor ordered before somebody says so.
    add column suspended_at timestamptz;
update hostname_backoffs
set broken_since = failed_at, look_at = failed_at, seen_failing_at = case when not at_ca then failed_at end;
create index hostname_backoffs_look_at on hostname_backoffs (account_id, look_at)
    where look_at is not null and suspended_at is null;
-- Those that wait for one name.
create index orders_parked_names on orders using gin (names) where stage = 'parked';

alter table events drop constraint events_kind;
alter table events add constraint events_kind check (kind in (
    'certificate.issued', 'certificate.failed', 'order.parked', 'order.failed', 'order.cancelled',
    'hostname.suspended'));
