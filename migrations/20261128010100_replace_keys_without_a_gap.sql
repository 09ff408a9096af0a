-- A key and what replaced it are one principal, of which two are good at a time at the most.
alter table api_keys
    add column principal_id uuid,
    add column version bigint not null default 1;
update api_keys set principal_id = key_id;
create index api_keys_of_principal on api_keys (principal_id) where revoked_at is null;
