-- Names that stand badly are few among very many. Whoever lists them reads their orders, by what is wrong: those that are
-- parked, and those that came to nothing.
create index orders_parked_for on orders (account_id, fault_class) where stage = 'parked';
create index orders_ended_badly on orders (account_id, fault_class) where stage in ('failed', 'cancelled');
