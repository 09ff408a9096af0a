-- Requests that the responder has answered, as far as their orders have room for them: our own looks take none from
-- others. Writing them again changes nothing.
insert into response_fetches (
    fetch_id, tenant_id, order_id, token, fetched_at, source, method, host, user_agent, status, own)
select fetch_id, tenant_id, order_id, token, fetched_at, source, method, host, user_agent, status, own
from (
    select entry.*, orders.tenant_id,
        row_number() over (partition by entry.order_id, entry.own order by entry.fetch_id)
            + (
                select count(*) from response_fetches kept
                where kept.order_id = entry.order_id and kept.own = entry.own
            ) as place
    from unnest(
        $1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::text[],
        $9::smallint[], $10::boolean[]
    ) as entry (fetch_id, order_id, token, fetched_at, source, method, host, user_agent, status, own)
    join orders using (order_id)
) as placed
where place <= $11
on conflict (fetch_id) do nothing
