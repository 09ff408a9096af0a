-- An import is a job: its rows are received, compared with each other and with what is there, committed a batch at a time,
-- and can be taken back. What was written in one go before is completed, and keeps no rows.
alter table imports
    -- Whose key it came with; null: the operator's.
    add column tenant_id uuid references tenants,
    add column account_id uuid references accounts,
    add column lane smallint not null default 3,
    add column status text not null default 'completed',
    -- What is done once the rows are there: they wait for a commit, or are committed.
    add column commits boolean not null default true,
    -- SHA-256 and length of what was sent, as it was sent.
    add column sha256 bytea,
    add column bytes bigint not null default 0,
    add column rows_repeated integer not null default 0,
    add column orders_created integer not null default 0,
    add column orders_hastened integer not null default 0,
    -- By a rollback.
    add column rows_removed integer not null default 0,
    add column rows_left integer not null default 0,
    -- Rows of the file have been held against each other.
    add column compared boolean not null default false,
    -- How far the present status has come, and how far it goes, in lines of the file.
    add column line_done bigint not null default 0,
    add column line_last bigint not null default 0,
    -- Up to here rows have been committed.
    add column line_committed bigint not null default 0,
    -- Null: at rest. While somebody works on it: the instant at which the lease ends.
    add column due_at timestamptz,
    add column lease_epoch bigint not null default 0,
    add column lease_holder uuid,
    -- Batches in a row that came to nothing.
    add column failures integer not null default 0,
    add column fault text,
    add column received_at timestamptz,
    add column committed_at timestamptz,
    add column ended_at timestamptz,
    add constraint imports_lane check (lane between 0 and 3),
    add constraint imports_status check (status in (
        'receiving', 'checking', 'preview', 'running', 'completed', 'cancelled', 'failed', 'rolling_back', 'rolled_back',
        'discarded')),
    add constraint imports_sha256 check (octet_length(sha256) = 32),
    -- Whatever is under way is due at some time.
    add constraint imports_moving check (
        due_at is not null or status not in ('receiving', 'checking', 'preview', 'running', 'rolling_back', 'discarded')),
    add constraint imports_failed check ((status = 'failed') = (fault is not null));
create index imports_due on imports (due_at) where due_at is not null;
create index imports_of_tenant on imports (tenant_id, import_id);

-- The rows of imports. They refer to nothing: a check of each would cost more than the row, and they go before their
-- import does.
create table import_items (
    import_id uuid not null,
    line bigint not null,
    -- Empty where the row could not be read.
    tenant text not null default '',
    external_id text not null default '',
    names text[] not null default '{}',
    challenge text not null default '',
    labels jsonb not null default '{}',
    -- dns-01: the names above those, up to their registered domains. Whoever owns one owns what is below it.
    above text[] not null default '{}',
    -- Where the tenant, the external id and each name stand in the line.
    columns integer[] not null default '{}',
    -- Null: not judged. Before the commit, what would become of it.
    verdict text,
    -- What it is about: there already, or made by this import.
    certificate_id uuid,
    -- What a rollback did with it.
    rollback text,
    primary key (import_id, line),
    constraint import_items_verdict check (verdict in ('created', 'changed', 'unchanged', 'repeated', 'refused')),
    constraint import_items_rollback check (rollback in (
        'removed', 'gone', 'there_before', 'changed_since', 'in_hand', 'ordered', 'issued', 'in_use'))
-- A verdict is written into its page.
) with (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.05);

-- Everything that is wrong with rows.
create table import_faults (
    import_id uuid not null,
    line bigint not null,
    nr smallint not null,
    at_column integer not null,
    field text,
    code text not null,
    detail text not null,
    primary key (import_id, line, nr)
);

-- Claimed by an import: what its rollback lets go.
alter table hostnames add column import_id uuid;
