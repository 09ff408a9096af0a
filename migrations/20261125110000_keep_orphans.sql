-- The orphan inbox: objects at the CA that a worker learnt of when it could no longer write them under its lease.
-- Written without a fence, only ever added to, and known by URL, so that writing twice makes one.
create table orphans (
    url text primary key,
    account_id uuid not null references accounts,
    -- The order whose worker learnt of it.
    order_id uuid not null references orders,
    kind text not null,
    -- What it counts in the account's pending-authorization budget until it is resolved: one for an authorization,
    -- and for an order whose authorizations are not known as many as it has names.
    units integer not null,
    learnt_at timestamptz not null,
    -- When somebody last tried to resolve it.
    looked_at timestamptz,
    resolved_at timestamptz,
    resolution text,
    constraint orphans_kind check (kind in ('order', 'authorization', 'certificate')),
    constraint orphans_units check (units >= 0),
    constraint orphans_resolution check (
        resolution in ('known', 'adopted', 'entered', 'ended', 'gone')),
    constraint orphans_resolved check ((resolved_at is null) = (resolution is null))
);

create index orphans_unresolved on orphans (account_id, looked_at nulls first) where resolved_at is null;
create index orphans_of_order on orphans (order_id);
