-- Who is told of events: a tenant of its own, the operator of everybody's.
create table webhooks (
    webhook_id uuid primary key,
    -- Null: the operator's.
    tenant_id uuid references tenants,
    external_id text,
    url text not null,
    description text not null default '',
    -- Kinds, or all of a subject as in `certificate.*`. Empty: everything.
    kinds text[] not null default '{}',
    enabled boolean not null default true,
    -- Sealed with the master key, to this row.
    secret_sealed bytea not null,
    -- The one before the last rotation, which signs as well until then.
    previous_secret_sealed bytea,
    previous_secret_until timestamptz,
    -- Switched off by itself, and why.
    disabled_at timestamptz,
    disabled_reason text,
    -- Null: the last attempt was a good one.
    failing_since timestamptz,
    failures integer not null default 0,
    version bigint not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint webhooks_previous_secret check ((previous_secret_sealed is null) = (previous_secret_until is null)),
    constraint webhooks_disabled check ((disabled_at is null) = (disabled_reason is null)),
    constraint webhooks_disabled_reason check (disabled_reason in ('gone', 'failing')),
    constraint webhooks_failures check ((failing_since is null) = (failures = 0))
);
create index webhooks_of_tenant on webhooks (tenant_id, webhook_id);
create unique index webhooks_external_id
    on webhooks (coalesce(tenant_id, '00000000-0000-0000-0000-000000000000'), external_id)
    where external_id is not null;

-- One event on its way to one webhook; the row is its place in the queue.
create table webhook_deliveries (
    delivery_id uuid primary key,
    webhook_id uuid not null references webhooks on delete cascade,
    -- The webhook's.
    tenant_id uuid references tenants,
    event_id uuid not null references events,
    -- What of the same key was told earlier goes first.
    order_key text not null,
    -- The event's place among all events.
    xid xid8 not null,
    seq bigint not null,
    state text not null default 'pending',
    -- While a lease is held, the instant it ends. Null: at rest.
    due_at timestamptz,
    lease_epoch bigint not null default 0,
    lease_holder uuid,
    attempts integer not null default 0,
    created_at timestamptz not null,
    ended_at timestamptz,
    constraint webhook_deliveries_event unique (webhook_id, event_id),
    constraint webhook_deliveries_state check (state in ('pending', 'delivered', 'given_up')),
    constraint webhook_deliveries_at_rest check ((state = 'pending') = (due_at is not null)),
    constraint webhook_deliveries_ended check ((state = 'pending') = (ended_at is null)),
    constraint webhook_deliveries_lease check (lease_holder is null or state = 'pending')
) with (fillfactor = 70);
create index webhook_deliveries_due on webhook_deliveries (webhook_id, due_at) where state = 'pending';
create index webhook_deliveries_order on webhook_deliveries (webhook_id, order_key, xid, seq) where state = 'pending';
create index webhook_deliveries_ended_at on webhook_deliveries (ended_at) where ended_at is not null;

-- Every try, as it went.
create table webhook_attempts (
    attempt_id uuid primary key,
    delivery_id uuid not null references webhook_deliveries on delete cascade,
    webhook_id uuid not null references webhooks on delete cascade,
    tenant_id uuid references tenants,
    number integer not null,
    outcome text not null,
    http_status integer,
    detail text,
    took_ms integer not null,
    at timestamptz not null,
    constraint webhook_attempts_outcome check (outcome in (
        'delivered', 'gone', 'refused', 'timeout', 'unreachable', 'tls', 'forbidden'))
);
create index webhook_attempts_of_webhook on webhook_attempts (webhook_id, attempt_id);
create index webhook_attempts_of_delivery on webhook_attempts (delivery_id);

-- Up to where events have been handed to webhooks.
create table webhook_fan_out (
    only_one boolean primary key default true,
    xid xid8 not null,
    seq bigint not null,
    -- Restored into another cluster, whose transactions count from elsewhere: what was told up to there was told.
    restored_at_seq bigint not null default 0,
    constraint webhook_fan_out_only_one check (only_one)
);
insert into webhook_fan_out (xid, seq) values ('0', 0);

-- A UUID of version 7 (RFC 9562 §5.7) for an instant, where a statement makes as many rows as it finds.
create function uuid_at(instant timestamptz) returns uuid
language sql volatile parallel safe
as $$
    select encode(
        set_byte(
            overlay(drawn.bytes placing
                substring(int8send(floor(extract(epoch from instant) * 1000)::bigint) from 3) from 1 for 6),
            6,
            (get_byte(drawn.bytes, 6) & 15) | 112),
        'hex')::uuid
    from (select uuid_send(gen_random_uuid()) as bytes) as drawn
$$;

-- An id as the API writes it: its prefix, and the UUID in Crockford's base 32.
create function id_text(prefix text, id uuid) returns text
language sql immutable parallel safe
as $$
    select prefix || '_' || string_agg(
        substr(
            '0123456789abcdefghjkmnpqrstvwxyz',
            substring(b'00' || ('x' || replace(id::text, '-', ''))::bit(128) from 5 * place + 1 for 5)::bit(5)::integer + 1,
            1),
        '' order by place)
    from generate_series(0, 25) as place
$$;
