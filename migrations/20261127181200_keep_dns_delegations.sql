-- Labels of the zone that this service serves itself, and who may write below them by the acme-dns protocol.
create table dns_delegations (
    -- The label.
    subdomain text primary key,
    username uuid not null unique,
    -- SHA-256 of the password, which is 30 random bytes: nothing that could be guessed.
    password_sha256 bytea not null,
    -- From where it may be written, as CIDR blocks; empty: from anywhere.
    allow_from text[] not null,
    created_at timestamptz not null
);

-- What is written below a label by its owner: the two newest values, as a name and its wildcard need.
create table dns_delegated_texts (
    subdomain text not null references dns_delegations,
    slot smallint not null,
    value text not null,
    updated_at timestamptz not null,
    primary key (subdomain, slot),
    constraint dns_delegated_texts_slot check (slot in (0, 1))
);
