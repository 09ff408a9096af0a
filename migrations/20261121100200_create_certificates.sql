create table imports (
    import_id uuid primary key,
    source text not null,
    rows_total integer not null,
    rows_created integer not null,
    rows_unchanged integer not null,
    rows_refused integer not null,
    created_at timestamptz not null
);

-- The wish: these names are to have a valid certificate.
create table certificates (
    certificate_id uuid primary key,
    tenant_id uuid not null references tenants,
    account_id uuid not null references accounts,
    external_id text not null,
    names text[] not null,
    challenge text not null,
    profile text,
    labels jsonb not null default '{}',
    import_id uuid references imports,
    created_at timestamptz not null,
    constraint certificates_external_id unique (tenant_id, external_id),
    constraint certificates_named check (cardinality(names) between 1 and 100),
    constraint certificates_challenge check (challenge in ('http-01', 'dns-01', 'tls-alpn-01'))
);
create index certificates_of_tenant on certificates (tenant_id, created_at, certificate_id);
create index certificates_names on certificates using gin (names);
