-- What is due first, what is due next, and whether anybody is in line. Each part is one look at one index.
select
    least(
        (select min(due_at) from orders where due_at is not null and queue = 2),
        (select min(due_at) from orders where due_at is not null and queue < 2 and not in_line)
    ) as first_at,
    least(
        (select min(due_at) from orders where due_at > $1 and queue = 2),
        (select min(due_at) from orders where due_at > $1 and queue < 2 and not in_line)
    ) as next_at,
    exists (select from orders where in_line) as "in_line!"
