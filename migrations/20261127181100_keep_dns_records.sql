-- The TXT records that prove names (RFC 8555 section 8.4). A row is committed before its record is published, and goes after
-- the record has gone: whatever may stand at a provider has a row.
create table dns_records (
    record_id uuid primary key,
    order_id uuid not null references orders,
    -- The authorization it answers, of that order.
    authorization_url text not null,
    -- By the name it has in the configuration.
    provider text not null,
    zone text not null,
    -- Where it stands, aliases followed: lower case, no dot at the end.
    owner text not null,
    value text not null,
    created_at timestamptz not null,
    -- The provider has confirmed it.
    published_at timestamptz,
    -- The first of the rounds in which all name servers showed it; null while one does not.
    visible_at timestamptz,
    -- Its authorization needs it no longer: it is to go.
    unwanted_at timestamptz,
    -- When it is tried again to remove it.
    retry_at timestamptz,
    -- Tries that failed, since the last that did not.
    failures integer not null default 0,
    fault_detail text,
    constraint dns_records_once unique (order_id, authorization_url, provider, owner, value),
    constraint dns_records_going check ((unwanted_at is null) = (retry_at is null))
);
create index dns_records_of_rrset on dns_records (provider, owner);
create index dns_records_unwanted on dns_records (retry_at) where unwanted_at is not null;

-- One writer for each RRset at a time, whoever and wherever: a provider that replaces whole RRsets must not lose a value
-- to another writer's. A row is there while somebody writes, or for a while after they died.
create table dns_writers (
    provider text not null,
    owner text not null,
    -- Drawn anew for each holder.
    holder uuid not null,
    held_until timestamptz not null,
    primary key (provider, owner)
);
