-- $1 account, $2 lanes, $3 of each so many, $4 those at the gate, $5 a lease that ends later was taken lately
-- The tags of those whose turn is next and who are about to come: proven and in line, or in a worker's hands. Whoever
-- holds one for long is slow or gone, and nobody waits for him.
select turn.lane as "lane!", ahead.fair_tag as "fair_tag!"
from unnest($2::smallint[]) as turn (lane)
cross join lateral (
    (
        select fair_tag
        from orders
        where in_line and queue = 1 and lane = turn.lane and account_id = $1 and not exempt
        order by fair_tag
        limit $3
    )
    union all
    (
        select fair_tag
        from orders
        where queue < 2 and lease_expires_at is not null and lease_expires_at > $5 and lane = turn.lane
            and account_id = $1 and not exempt and order_id <> all($4)
        order by fair_tag
        limit $3
    )
) as ahead
