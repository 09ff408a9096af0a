-- People, who sign in to the dashboard. What is programs' is in api_keys.
create table users (
    user_id uuid primary key,
    -- Null: of the operator.
    tenant_id uuid references tenants on delete cascade,
    name text not null,
    role text not null,
    -- A PHC string of Argon2id.
    password text not null,
    disabled_at timestamptz,
    last_signed_in_at timestamptz,
    -- In a row, and the last of them.
    failures integer not null default 0,
    failed_at timestamptz,
    created_at timestamptz not null,
    created_by text not null,
    version bigint not null default 1,
    constraint users_role check (role in ('owner', 'operator', 'viewer')),
    constraint users_name check (name <> ''),
    constraint users_failures check (failures >= 0 and (failures = 0) = (failed_at is null))
);
create unique index users_by_name on users (lower(name));
create index users_of_tenant on users (tenant_id, user_id);

-- Who is signed in, and from where. The cookie's text is never stored.
create table sessions (
    sha256 bytea primary key,
    user_id uuid not null references users on delete cascade,
    -- What every form of this session carries.
    csrf text not null,
    created_at timestamptz not null,
    seen_at timestamptz not null,
    ends_at timestamptz not null,
    address inet,
    user_agent text not null,
    -- How the last thing went that was asked for; told once.
    notice text,
    constraint sessions_sha256 check (octet_length(sha256) = 32)
);
create index sessions_of_user on sessions (user_id);
create index sessions_by_end on sessions (ends_at);

select raise_tenant_fence();
