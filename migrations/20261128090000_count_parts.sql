-- An order of which a name is broken parts with those that are ready, and once only: a name that failed in passing at
-- that moment waited until the broken one was mended. It parts again now when more are ready than ever before, so how
-- many that were is kept. `split` keeps the names of an order together from the start (parts, requests made elsewhere).
alter table orders add column parted integer not null default 0;
