-- A certificate that was removed needs no private key: its versions' are erased with it, and those of orders that are still
-- under way when they have ended. Null with `deleted_at`: that is still to be done.
alter table certificates add column keys_erased_at timestamptz;
create index certificates_to_erase on certificates (deleted_at) where deleted_at is not null and keys_erased_at is null;
