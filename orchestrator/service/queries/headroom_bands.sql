-- $1 CA, $2 now, $3 account's UUID; limit by limit: $4 names, $5 bursts, $6 microseconds for one token
-- Of the buckets that are not full, how many have how much left.
with rule as (
    select * from unnest($4::text[], $5::float8[], $6::float8[]) as rule (limit_name, burst, refill_micros)
),
touched as (
    select
        buckets.limit_name,
        greatest(0, rule.burst - ceil(extract(epoch from buckets.full_at - $2) * 1e6 / rule.refill_micros)) / rule.burst
            as share
    from rule
    join buckets on buckets.ca = $1 and buckets.limit_name = rule.limit_name and buckets.full_at > $2
    -- Other accounts' are theirs.
    where buckets.limit_name in ('certificates_per_registered_domain', 'certificates_per_exact_set')
        or buckets.key = $3 or buckets.key like $3 || '/%'
),
reserved as (
    select limit_name, sum(tokens) as reserved
    from limit_reservations
    where ca = $1 and (limit_name in ('certificates_per_registered_domain', 'certificates_per_exact_set') or key = $3)
    group by limit_name
)
select
    rule.limit_name as "limit_name!",
    count(touched.share) as "touched!",
    count(*) filter (where touched.share <= 0.1) as "empty!",
    count(*) filter (where touched.share > 0.1 and touched.share <= 0.5) as "low!",
    count(*) filter (where touched.share > 0.5) as "high!",
    coalesce(min(touched.share), 1)::float8 as "worst!",
    coalesce(max(reserved.reserved), 0) as "reserved!"
from rule
left join touched using (limit_name)
left join reserved using (limit_name)
group by rule.limit_name
