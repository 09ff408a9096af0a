-- Which claim an order waits for. The partial indexes used to name the stage itself, so each step of an order at
-- the CA, which changes the stage and not the queue, rewrote all of its index entries. By the value of a column
-- they stay as they are, and Postgres updates the row in its page alone (a heap-only tuple).
alter table orders add column queue smallint not null generated always as (
    case
        -- to be proven at home
        when stage = 'parked' or (stage = 'accepted' and proven_at is null) then 0
        -- proven at home, waiting for the gate
        when stage = 'accepted' then 1
        -- on its way at the CA, or settling what is left there
        else 2
    end) stored;

drop index orders_due_in_flight;
create index orders_due_in_flight on orders (due_at) where due_at is not null and queue = 2;
drop index orders_due_proven;
create index orders_due_proven on orders (lane, due_at) where due_at is not null and queue = 1;
drop index orders_due_unproven;
create index orders_due_unproven on orders (lane, due_at) where due_at is not null and queue = 0;

-- The same orders as before: only ended ones have ended.
drop index orders_ca_order_url;
create unique index orders_ca_order_url on orders (ca_order_url)
    where ca_order_url is not null and ended_at is null;
