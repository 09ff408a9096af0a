-- What a server has of a certificate, as its agent has last told: one row for each of the two.
create table deployments (
    deployment_id uuid primary key,
    tenant_id uuid not null references tenants,
    certificate_id uuid not null references certificates on delete cascade,
    -- What the server is called.
    target text not null,
    -- The version that is installed, by its order; null: none is.
    order_id uuid references orders,
    installed_at timestamptz,
    -- What went wrong on the server: with files, a hook, a reload.
    fault text,
    -- What was seen at each address: address, server_name, at, fingerprint_sha256, not_after, fault.
    probes jsonb not null default '[]',
    -- By all of the above: deployed, not_served (a probe shows something else), or failed.
    state text not null,
    created_at timestamptz not null,
    reported_at timestamptz not null,
    -- When the state or the version last became another.
    changed_at timestamptz not null,
    constraint deployments_of unique (certificate_id, target),
    constraint deployments_state check (state in ('deployed', 'not_served', 'failed')),
    constraint deployments_installed check ((order_id is null) = (installed_at is null)),
    constraint deployments_without_version check (order_id is not null or state = 'failed'),
    constraint deployments_target check (octet_length(target) between 1 and 253)
);
create index deployments_of_tenant on deployments (tenant_id, deployment_id);
create index deployments_by_state on deployments (state, deployment_id);
