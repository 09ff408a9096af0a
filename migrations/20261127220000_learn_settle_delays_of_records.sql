-- The set of servers that a record was last seen at: what its validation teaches of settling is kept under it.
alter table dns_records add column server_set text;

-- Through which provider, by the name it has in the configuration, the record was written that taught it last.
alter table dns_settlings add column provider text;
