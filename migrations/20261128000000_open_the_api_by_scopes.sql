-- A key says what it opens. '*' is everything that its holder, the operator or a tenant, may do at all.
alter table api_tokens rename to api_keys;
alter table api_keys rename column token_id to key_id;
alter table api_keys rename constraint api_tokens_sha256 to api_keys_sha256;
alter table api_keys rename constraint api_tokens_sha256_is_one to api_keys_sha256_is_one;
alter table api_keys
    add column scopes text[] not null default '{*}',
    -- From where it may be used; none: from anywhere.
    add column cidrs text[] not null default '{}',
    add column expires_at timestamptz,
    add column last_used_at timestamptz,
    -- What of its text is shown again: enough to tell keys apart, worth nothing to a thief.
    add column shown text not null default '',
    add column created_by text not null default '';
create index api_keys_of_tenant on api_keys (tenant_id, key_id);

-- What was done and what has come about: only ever appended to, and outlives what it tells of. A reader that follows it
-- goes by (xid, seq) below the oldest transaction that is still open, so that nothing which is committed late is passed
-- over.
drop index events_unpublished;
drop index events_of_tenant;
alter table events
    drop constraint events_kind,
    drop constraint events_certificate_id_fkey,
    drop constraint events_order_id_fkey,
    drop column published_at,
    -- Null: it concerns no tenant.
    alter column tenant_id drop not null,
    -- The object it is about, as the API names it.
    add column subject text not null default '',
    add column actor_kind text not null default 'service',
    add column actor_id uuid,
    add column actor_name text not null default 'engine',
    add column address inet,
    add column request_id text,
    add column seq bigint generated always as identity,
    add column xid xid8 not null default pg_current_xact_id(),
    add constraint events_actor_kind check (actor_kind in ('key', 'user', 'service'));
create index events_in_order on events (xid, seq);
create index events_of_tenant on events (tenant_id, event_id);
create index events_of_subject on events (subject, event_id);
create function events_stay() returns trigger language plpgsql as $$
begin
    raise exception 'events are only ever appended to';
end $$;
create trigger events_stay before update on events for each row execute function events_stay();

-- Answers to requests that carried an Idempotency-Key, written in the transaction of their effect.
create table idempotent_answers (
    key_id uuid not null references api_keys on delete cascade,
    method text not null,
    path text not null,
    idempotency_key text not null,
    -- SHA-256 of what was asked.
    fingerprint bytea not null,
    status smallint not null,
    location text,
    etag text,
    -- Sealed, as an answer may hold what is shown once.
    body bytea not null,
    created_at timestamptz not null,
    primary key (key_id, method, path, idempotency_key),
    constraint idempotent_answers_fingerprint check (octet_length(fingerprint) = 32)
);
create index idempotent_answers_by_age on idempotent_answers (created_at);
