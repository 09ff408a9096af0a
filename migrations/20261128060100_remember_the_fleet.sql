-- The fleet as it was counted, one row for each five minutes: what the pages show, and how it has come to be so.
create table fleet_samples (
    -- Five minutes since 1970.
    slot bigint primary key,
    taken_at timestamptz not null,
    sample jsonb not null
);
