-- $1 account, $2 now, $3 latest orders looked at
select
    accounts.ca,
    greatest(accounts.held_until, accounts.paused_until) as held_until,
    accounts.pending_authorizations_max - accounts.recovery_reserve as "pending_max!",
    (
        select coalesce(sum(reserved_authorizations), 0)
        from orders
        where account_id = $1 and reserved_authorizations > 0 and hold_until > $2
    ) + (
        select count(*) from authorizations where account_id = $1 and final_at is null
    ) + (
        select coalesce(sum(units), 0) from orphans where account_id = $1 and resolved_at is null
    ) as "pending!",
    (
        select percentile_cont(0.5) within group (order by extract(epoch from ended_at - admitted_at)::float8)
        from (
            select ended_at, admitted_at from orders
            where account_id = $1 and stage = 'issued' and admitted_at is not null
            order by order_id desc
            limit $3
        ) as latest
        having count(*) >= 20
    ) as order_seconds
from accounts
where accounts.account_id = $1
