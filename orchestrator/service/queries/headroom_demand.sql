-- Orders that the CA will count and that want to be placed by then; $1 account, $2 to $4 the ends of the horizons.
select
    count(*) filter (where due_at <= $2) as "hour!",
    count(*) filter (where due_at <= $3) as "day!",
    count(*) as "week!"
from (
    select due_at from orders
    where in_line and queue < 2 and account_id = $1 and not exempt and due_at <= $4 and stage <> 'parked'
    union all
    -- Those that wait for an instant, by it: the many that are parked for long are not looked at.
    select due_at from orders
    where queue < 2 and not in_line and due_at <= $4 and account_id = $1 and not exempt and stage <> 'parked'
) as wanted
