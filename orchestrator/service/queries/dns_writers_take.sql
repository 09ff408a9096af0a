-- Makes $3 the only writer of those names at $1 until $5, where nobody else is. Everybody takes them in one order.
insert into dns_writers (provider, owner, holder, held_until)
select $1, owner, $3, $5
from unnest($2::text[]) as wanted (owner)
order by owner
on conflict (provider, owner) do update
set holder = excluded.holder, held_until = excluded.held_until
where dns_writers.held_until <= $4
returning owner
