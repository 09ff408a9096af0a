-- The names of account $1 that may stand as is asked for, of very many that do not: of orders under way and of certificates that
-- have expired at $2 ($3), of parked orders and those that rest ($4), of orders that were the last of their certificate and
-- came to nothing ($5); of one failure class, if $6 is not null. After $7, from $8 on and before $9, where those are not null. Read
-- by indexes alone; `read` says how many rows that took, of $10 at the most. The first $11 names.
with found as (
    select names from orders where $3 and in_line and account_id = $1
    union all
    select names from orders where $3 and queue < 2 and not in_line and due_at is not null and account_id = $1
    union all
    select names from orders where $3 and queue = 2 and due_at is not null and account_id = $1
    union all
    select certificates.names
    from renewals join certificates using (certificate_id)
    where $3 and renewals.account_id = $1 and renewals.not_after <= $2
    union all
    select names
    from orders
    where $4 and stage = 'parked' and account_id = $1 and ($6::text is null or fault_class = $6)
    union all
    select array[hostname] from hostname_backoffs where $4 and account_id = $1 and ($6::text is null or fault_class = $6)
    union all
    select names
    from orders as last
    where $5 and last.stage in ('failed', 'cancelled') and last.account_id = $1
        and ($6::text is null or last.fault_class = $6)
        and not exists (
            select from orders as later
            where later.certificate_id = last.certificate_id
                and (later.accepted_at, later.order_id) > (last.accepted_at, last.order_id)
                and later.names @> last.names
        )
),
bounded as materialized (
    select names from found limit $10
),
targets as (
    select distinct case when name like '*.%' then substr(name, 3) else name end as hostname
    from bounded cross join lateral unnest(names) as name
)
select hostname as "hostname!", (select count(*) from bounded) as "read!"
from targets
where ($7::text is null or hostname collate "C" > $7)
    and ($8::text is null or hostname collate "C" >= $8)
    and ($9::text is null or hostname collate "C" < $9)
order by hostname collate "C"
limit $11
