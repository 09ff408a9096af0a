-- What was told last of each thing, so that nothing is told twice.

-- Of an order that waits for the gate: why, as it was told.
alter table orders add column deferred_as text;

-- Of a name: how it is, for what cause, and since when.
alter table hostname_backoffs
    add column told_as text,
    add column told_class text,
    add column told_at timestamptz,
    add constraint hostname_backoffs_told check (
        told_as in ('failing', 'blocked', 'ready') and (told_as is null) = (told_at is null));
-- What stands there already is news to nobody.
update hostname_backoffs
set told_as = case when suspended_at is null then 'failing' else 'blocked' end, told_class = fault_class, told_at = failed_at;

-- Of a certificate that is not renewed: how near its end was, in steps.
alter table renewals add column told_expiring smallint not null default 0;

-- Of an authorization that is open past its deadline.
alter table authorizations add column stuck_told_at timestamptz;
create index authorizations_stuck on authorizations (account_id, settle_at)
    where settled_at is null and stuck_told_at is null;

-- Of a limit: how much was left.
create table headroom_told (
    account_id uuid not null references accounts,
    -- One of the CA's limits, or `pending_authorizations`.
    limit_name text not null,
    told_as text not null,
    told_at timestamptz not null,
    primary key (account_id, limit_name),
    constraint headroom_told_as check (told_as in ('ample', 'low', 'exhausted'))
);

-- Events are asked for by the certificate they are about.
create index events_of_certificate on events (certificate_id, event_id) where certificate_id is not null;
