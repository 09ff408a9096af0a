-- $1 account, $2 now, $3 buckets of each limit: the ones that take longest to fill
select limit_name as "limit_name!", key as "key!", full_at as "full_at!", touched as "touched!"
from (
    select
        limit_name, key, full_at,
        count(*) over (partition by limit_name) as touched,
        row_number() over (partition by limit_name order by full_at desc, key) as place
    from limits
    where account_id = $1 and full_at > $2
) as emptiest
where place <= $3
order by limit_name, place
