-- What each check said of names that the CA was asked about, and what the CA said then.
create table check_records (
    ca text not null,
    check_name text not null,
    ready_valid bigint not null default 0,
    ready_invalid bigint not null default 0,
    not_ready_valid bigint not null default 0,
    not_ready_invalid bigint not null default 0,
    -- Whether a name that fails it is kept from the CA.
    standing text not null default 'blocks',
    -- Null: never changed.
    standing_since timestamptz,
    standing_by text,
    -- Of the names that it said were not ready, since its standing last changed.
    since_valid bigint not null default 0,
    since_invalid bigint not null default 0,
    primary key (ca, check_name),
    constraint check_records_standing check (standing in ('blocks', 'advice')),
    constraint check_records_standing_by check (
        standing_by in ('evidence', 'operator') and (standing_since is null) = (standing_by is null))
);

-- What is there already says nothing of what checks said.
alter table authorizations add column measured boolean not null default true;
alter table authorizations alter column measured set default false;
create index authorizations_unmeasured on authorizations (account_id, final_at)
    where submitted_at is not null and final_at is not null and not measured;

-- A check that keeps one name back no more.
create table check_overrides (
    hostname text not null,
    check_name text not null,
    tenant_id uuid not null references tenants,
    -- `operator`, or `sample`: drawn, to learn how often the check is wrong.
    origin text not null,
    note text not null,
    created_at timestamptz not null,
    -- Null: until it is taken back.
    expires_at timestamptz,
    primary key (hostname, check_name),
    constraint check_overrides_origin check (origin in ('operator', 'sample'))
);
