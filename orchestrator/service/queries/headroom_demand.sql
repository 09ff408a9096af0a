-- Orders that the CA will count and that want to be placed by then; $1 account, $2 to $4 the ends of the horizons.
select
    count(*) filter (where due_at <= $2) as "hour!",
    count(*) filter (where due_at <= $3) as "day!",
    count(*) as "week!"
from orders
where account_id = $1 and queue < 2 and not exempt and due_at <= $4 and stage <> 'parked'
