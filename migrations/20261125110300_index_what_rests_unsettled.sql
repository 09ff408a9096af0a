-- Leases that ran out too often in a row: what may be killing its workers.
create index orders_rescued on orders (rescues) where rescues > 0;
