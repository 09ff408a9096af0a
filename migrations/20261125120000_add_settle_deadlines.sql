-- By when an open authorization is to be settled; of no meaning once `settled_at` is set, where a release that
-- does not know the column leaves it behind. Null until the row is next written by one that does.
alter table authorizations add column settle_at timestamptz;
-- The operator wants it settled, whatever it costs.
alter table authorizations add column settle_requested_at timestamptz;
-- What may be overdue before it is looked at again.
update authorizations set settle_at = expires_at - interval '5 minutes' where settled_at is null;
