-- Whether the CA takes records that stay is asked for each name that nobody could write a record for.
create index hostname_checks_persist_offered on hostname_checks (account_id) where persist_offered_at is not null;
