-- Authorizations that were neither submitted nor ended when they expired: each is told once, over all replicas.
create table unsettled_expiries (
    authorization_id uuid primary key references authorizations,
    noticed_at timestamptz not null
);

-- Where to look for them among those that have ended. Nearly empty.
create index authorizations_expired_unsettled on authorizations (account_id)
    where status = 'expired' and submitted_at is null;
