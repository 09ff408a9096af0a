-- A tenant asks for a name that another one has. Who shows `value` as a TXT record of the name has DNS of it, and gets it.
create table hostname_transfers (
    transfer_id uuid primary key,
    hostname text not null,
    -- Who asks.
    tenant_id uuid not null references tenants,
    -- Random, so it is good for this tenant and this name alone.
    value text not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    -- When its name servers are asked next; null: it is over.
    look_at timestamptz,
    looked_at timestamptz,
    -- What the last look has said.
    detail text,
    ended_at timestamptz,
    outcome text,
    constraint hostname_transfers_value unique (value),
    constraint hostname_transfers_outcome check (outcome in ('moved', 'expired', 'withdrawn', 'needless')),
    constraint hostname_transfers_ended check (
        (ended_at is null) = (outcome is null) and (ended_at is null) = (look_at is not null))
);
create unique index hostname_transfers_one on hostname_transfers (tenant_id, hostname) where ended_at is null;
create index hostname_transfers_to_look_at on hostname_transfers (look_at) where look_at is not null;

-- The certificate whose last name has gone to another tenant: it is served until it expires, and not renewed.
alter table certificates add column given_up_at timestamptz;
