create table issued_certificates (
    order_id uuid primary key references orders,
    certificate_id uuid not null references certificates,
    tenant_id uuid not null references tenants,
    account_id uuid not null references accounts,
    names text[] not null,
    serial text not null,
    fingerprint_sha256 bytea not null,
    spki_sha256 bytea not null,
    issuer text not null,
    chain_pem text not null,
    key_sealed bytea not null,
    not_before timestamptz not null,
    not_after timestamptz not null,
    issued_at timestamptz not null,
    constraint issued_certificates_serial unique (issuer, serial),
    constraint issued_certificates_validity check (not_before < not_after)
);
create index issued_certificates_of on issued_certificates (certificate_id, issued_at);
create index issued_certificates_not_after on issued_certificates (not_after);

-- What happened, for whoever wants to know; written in the transaction in which it happened.
create table events (
    event_id uuid primary key,
    tenant_id uuid not null references tenants,
    kind text not null,
    certificate_id uuid references certificates,
    order_id uuid references orders,
    data jsonb not null default '{}',
    happened_at timestamptz not null,
    -- Null until handed to every listener.
    published_at timestamptz,
    constraint events_kind check (kind in (
        'certificate.issued', 'certificate.failed', 'order.parked', 'order.failed', 'order.cancelled'))
);
create index events_of_tenant on events (tenant_id, happened_at, event_id);
create index events_unpublished on events (happened_at) where published_at is null;
