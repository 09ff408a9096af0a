-- $1 CA, $2 now, $3 account's UUID, $4 buckets of each limit: the ones that take longest to fill
select emptiest.limit_name as "limit_name!", emptiest.key as "key!", emptiest.full_at as "full_at!"
from unnest($5::text[]) as wanted (limit_name)
cross join lateral (
    select limit_name, key, full_at
    from buckets
    where ca = $1 and limit_name = wanted.limit_name and full_at > $2
        and (
            limit_name in ('certificates_per_registered_domain', 'certificates_per_exact_set')
            or key = $3 or key like $3 || '/%'
        )
    order by full_at desc
    limit $4
) as emptiest
order by emptiest.limit_name, emptiest.full_at desc, emptiest.key
