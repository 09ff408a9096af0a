create table tenants (
    tenant_id uuid primary key,
    slug text not null,
    created_at timestamptz not null,
    constraint tenants_slug unique (slug),
    constraint tenants_slug_is_a_slug check (slug ~ '^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$')
);

-- A token is 178 random bits, so a plain hash keeps it; the text is shown once and never stored.
create table api_tokens (
    token_id uuid primary key,
    -- Null: the operator's, over all tenants.
    tenant_id uuid references tenants,
    name text not null,
    sha256 bytea not null,
    created_at timestamptz not null,
    revoked_at timestamptz,
    constraint api_tokens_sha256 unique (sha256),
    constraint api_tokens_sha256_is_one check (octet_length(sha256) = 32)
);

-- A hostname belongs to one tenant at a time: valid authorizations are cached per account at the CA, so
-- whoever may order a name may have it certified without a challenge.
create table hostnames (
    hostname text primary key,
    tenant_id uuid not null references tenants,
    created_at timestamptz not null,
    constraint hostnames_canonical check (hostname = lower(hostname) and octet_length(hostname) between 1 and 253)
);
create index hostnames_of_tenant on hostnames (tenant_id);
