-- Who has fetched the responses of one order, earliest first.
select
    fetched.fetch_id, fetched.fetched_at, authorization_id as "authorization_id?", identifier as "identifier?", fetched.source,
    fetched.method, fetched.host, fetched.user_agent, fetched.status, fetched.own
from response_fetches fetched
left join authorizations on authorizations.order_id = fetched.order_id and authorizations.token = fetched.token
where fetched.order_id = $1
    and ($2::uuid is null or fetched.tenant_id = $2)
    and ($3::uuid is null or fetched.fetch_id > $3)
order by fetched.fetch_id
limit $4
