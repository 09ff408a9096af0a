-- Names of account $1 that are to be looked at at $2, at the most $3; nobody else looks at them before $4. $5: the faults
-- that a look can see mended. A name that no parked order waits for is not looked at; it may be waited for again. Nor is
-- one that is proven in DNS: what answers over HTTP is no evidence for it.
with due as (
    select hostname,
        exists (
            select from orders
            where stage = 'parked' and challenge = 'http-01' and account_id = $1
                and names && array[hostname_backoffs.hostname, '*.' || hostname_backoffs.hostname]
        ) as waited_for
    from hostname_backoffs
    where account_id = $1 and suspended_at is null and look_at <= $2 and fault_class = any($5)
    order by look_at
    limit $3
    for update skip locked
)
update hostname_backoffs
set look_at = case when waited_for then $4::timestamptz else $6::timestamptz end
from due
where hostname_backoffs.account_id = $1 and hostname_backoffs.hostname = due.hostname
returning
    hostname_backoffs.hostname, failures, blocked_until, at_ca, failed_at, broken_since, seen_failing_at,
    waited_for as "waited_for!"
