-- Authorizations that expired before $2 and were neither submitted nor ended before; each is told once.
with expired as (
    select authorization_id, order_id, url
    from authorizations
    where account_id = $1 and settled_at is null and expires_at <= $2
    union all
    select authorization_id, order_id, url
    from authorizations
    where account_id = $1 and status = 'expired' and submitted_at is null
),
noticed as (
    insert into unsettled_expiries (authorization_id, noticed_at)
    select authorization_id, $3
    from expired
    where not exists (
        select from unsettled_expiries where unsettled_expiries.authorization_id = expired.authorization_id)
    limit $4
    on conflict (authorization_id) do nothing
    returning authorization_id
)
select expired.order_id as "order_id!", expired.url as "url!"
from expired
join noticed using (authorization_id)
