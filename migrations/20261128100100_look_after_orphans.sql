-- An operator looks after the orphan inbox.
alter table orphans
    -- What the API calls it. Drawn here: whoever writes an orphan down has its URL, and no time to lose.
    add column orphan_id uuid not null default gen_random_uuid(),
    -- It is to be settled as soon as it is in the ledger, and not by its deadline.
    add column settle_requested_at timestamptz;
create unique index orphans_by_id on orphans (orphan_id);
create index orphans_waiting on orphans (orphan_id) where resolved_at is null;
