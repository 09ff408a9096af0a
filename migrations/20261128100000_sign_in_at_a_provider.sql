-- People may sign in at a provider of identities, beside a password or in its place.
alter table users
    -- Null: by no password.
    alter column password drop not null,
    add column by_oidc boolean not null default false,
    -- Whom the provider means, from the first time on: a name may be given to somebody else there, this never.
    add column oidc_issuer text,
    add column oidc_subject text,
    -- Made when it first came from there: role and tenant are what its groups say, each time.
    add column follows_groups boolean not null default false,
    add constraint users_sign_in check (password is not null or by_oidc),
    add constraint users_oidc_subject check (
        (oidc_issuer is null) = (oidc_subject is null) and (oidc_subject is null or by_oidc)
    ),
    add constraint users_follow_groups check (not follows_groups or (by_oidc and password is null));
create unique index users_by_subject on users (oidc_issuer, oidc_subject) where oidc_subject is not null;

alter table sessions
    add column signed_in_by text not null default 'password',
    add constraint sessions_signed_in_by check (signed_in_by in ('password', 'oidc'));

-- Sign-ins that have come back from the provider: each does so once, at whichever replica.
create table oidc_returns (
    state_sha256 bytea primary key,
    -- When it could not come back any more, and need not be remembered.
    ends_at timestamptz not null,
    constraint oidc_returns_state_sha256 check (octet_length(state_sha256) = 32)
);
create index oidc_returns_by_end on oidc_returns (ends_at);

select raise_tenant_fence();
