-- What goes on, what waits for somebody and what came to nothing is little among very many, and is what people list.
create index orders_moving on orders (order_id) where due_at is not null;
create index orders_settling on orders (order_id) where ended_at is not null and due_at is not null;
create index orders_parked_for on orders (account_id, fault_class) where stage = 'parked';
create index orders_ended_badly on orders (order_id) where stage in ('failed', 'cancelled');
create index certificates_paused on certificates (certificate_id) where paused_at is not null;
-- Whoever asks for one kind of event does not read all the others.
create index events_of_kind on events (kind, event_id);
