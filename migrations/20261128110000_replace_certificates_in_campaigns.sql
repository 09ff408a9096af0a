-- Many certificates that are to be replaced by an instant, because the CA will revoke them: what was asked for, how far it
-- is, and one row for each of them.
create table campaigns (
    campaign_id uuid primary key,
    -- Whose certificates it is about; null: everybody's, and the operator's alone.
    tenant_id uuid references tenants,
    reason text not null,
    -- As it was asked for, but for the serials, of which there may be many.
    selector jsonb not null,
    serials text[] not null default '{}',
    -- No key that it is about is kept, whatever its certificate says.
    new_keys boolean not null,
    deadline_at timestamptz not null,
    -- Orders in an hour; null: as many as the CA's limits allow.
    rate_per_hour integer,
    status text not null default 'running',
    created_by text not null,
    created_at timestamptz not null,
    -- Where the search for its certificates has come to, and when it was over.
    found_at timestamptz,
    found_order uuid,
    found_serials integer not null default 0,
    found_all_at timestamptz,
    waiting integer not null default 0,
    queued integer not null default 0,
    replaced integer not null default 0,
    failed integer not null default 0,
    skipped integer not null default 0,
    -- From when on the next one may be ordered.
    next_at timestamptz not null,
    -- Since when it has been running without a pause: its pace is measured from there.
    moving_since timestamptz not null,
    -- How far the look at what is under way has come.
    looked_to uuid,
    -- When the forecast made at its beginning sees it done, nine times in ten.
    foreseen_at timestamptz,
    told_late_at timestamptz,
    ended_at timestamptz,
    constraint campaigns_status check (status in ('running', 'paused', 'done', 'cancelled')),
    constraint campaigns_ended check ((status in ('done', 'cancelled')) = (ended_at is not null)),
    constraint campaigns_rate check (rate_per_hour between 1 and 100000),
    constraint campaigns_counts check (least(waiting, queued, replaced, failed, skipped) >= 0),
    constraint campaigns_found check ((found_at is null) = (found_order is null))
) with (fillfactor = 50);
create index campaigns_moving on campaigns (campaign_id) where ended_at is null;
create index campaigns_of_tenant on campaigns (tenant_id, campaign_id);

-- A certificate of a campaign, once in each. They refer to nothing but it: a check of each would cost more than the row.
create table campaign_members (
    campaign_id uuid not null references campaigns on delete cascade,
    certificate_id uuid not null,
    tenant_id uuid not null,
    account_id uuid not null,
    -- The version that is to be replaced, by the order that brought it.
    order_id uuid not null,
    serial text not null,
    spki_sha256 bytea not null,
    state text not null default 'waiting',
    -- Why it was skipped, or does not go on.
    why text,
    detail text,
    queued_at timestamptz,
    replaced_by uuid,
    primary key (campaign_id, certificate_id),
    constraint campaign_members_state check (state in ('waiting', 'queued', 'replaced', 'failed', 'skipped')),
    constraint campaign_members_why check (why is not null or state not in ('failed', 'skipped')),
    constraint campaign_members_replaced check ((state = 'replaced') = (replaced_by is not null))
) with (fillfactor = 75);
create index campaign_members_by_state on campaign_members (campaign_id, state, certificate_id);
create index campaign_members_to_look_at on campaign_members (campaign_id, certificate_id)
    where state in ('queued', 'failed');
create index campaign_members_of on campaign_members (certificate_id);

-- How it went down, one row for each five minutes.
create table campaign_samples (
    campaign_id uuid not null references campaigns on delete cascade,
    -- Five minutes since 1970.
    slot bigint not null,
    tenant_id uuid,
    taken_at timestamptz not null,
    waiting integer not null,
    queued integer not null,
    replaced integer not null,
    failed integer not null,
    primary key (campaign_id, slot)
);

select raise_tenant_fence();
