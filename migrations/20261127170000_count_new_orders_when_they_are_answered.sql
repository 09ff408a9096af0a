-- A new-order is reserved at the gate like everything else that the CA counts later, and counted with the CA's answer:
-- the gate no longer takes it as if it were read as late as it can be, and a refusal has nothing to give back.
-- An order that is asked for again may have been counted each time.
alter table limit_reservations add column tokens integer not null default 1
    constraint limit_reservations_tokens check (tokens > 0);

-- How far from full the CA has let the bucket become, in microseconds. Beyond that one order goes at a time.
-- `told_full_at` goes in a later release, when none is left that writes it.
alter table buckets add column proven_micros bigint not null default 0;

-- The operator believes until then that the CA grants more new orders than is known.
alter table accounts add column seeks_more_until timestamptz;

-- Those before the gate that a worker has in its hands: few, whoever waits in line.
create index orders_in_hand on orders (lane, fair_tag) where queue < 2 and lease_expires_at is not null;
