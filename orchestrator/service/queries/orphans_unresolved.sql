-- Those looked at longest ago. An order's authorizations come with it, unless it is gone.
select
    url, kind, orphans.order_id, learnt_at, orphans.settle_requested_at, orders.stage, orders.names,
    coalesce(orders.lease_expires_at > $2, false) as "is_held!"
from orphans
join orders using (order_id)
where orphans.account_id = $1 and resolved_at is null and kind <> 'certificate'
    and (kind = 'order' or not exists (
        select from orphans as others
        where others.order_id = orphans.order_id and others.kind = 'order' and others.resolved_at is null))
order by looked_at nulls first, learnt_at
limit $3
