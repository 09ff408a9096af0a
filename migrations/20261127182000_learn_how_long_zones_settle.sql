-- How long a record must have been seen at every server before a CA sees it too, where a failed validation has taught it.
create table dns_settlings (
    -- The provider's name, or the domains that the zone's name servers are in.
    server_set text primary key,
    delay_ms bigint not null,
    -- Validations that failed although every server showed the record.
    failures integer not null,
    -- Validations in a row that passed, since the last failure or cut of the delay.
    successes integer not null,
    learnt_at timestamptz not null,
    constraint dns_settlings_not_negative check (delay_ms >= 0 and failures >= 0 and successes >= 0)
);
