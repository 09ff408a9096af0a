-- $1 CA, and bucket by bucket: $2 limits, $3 keys
select
    wanted.place as "place!",
    buckets.full_at as "full_at?",
    buckets.promised_until as "promised_until?",
    buckets.proven_micros as "proven_micros?",
    (
        select coalesce(sum(tokens), 0)
        from limit_reservations
        where limit_reservations.ca = $1
            and limit_reservations.limit_name = wanted.limit_name
            and limit_reservations.key = wanted.key
    ) as "reserved!"
from unnest($2::text[], $3::text[]) with ordinality as wanted (limit_name, key, place)
left join buckets
    on buckets.ca = $1 and buckets.limit_name = wanted.limit_name and buckets.key = wanted.key
where buckets.full_at > $4 or buckets.promised_until > $4 or buckets.proven_micros > 0 or exists (
    select 1
    from limit_reservations
    where limit_reservations.ca = $1
        and limit_reservations.limit_name = wanted.limit_name
        and limit_reservations.key = wanted.key
)
