-- Records that a provider has confirmed at $9. One whose row has gone meanwhile was removed by somebody else, while our
-- write was on its way: it may stand there again, so it is entered as one that is to go.
insert into dns_records (
    record_id, order_id, authorization_url, provider, zone, owner, value, created_at, published_at, unwanted_at, retry_at
)
select
    record_id, order_id, authorization_url, provider, zone, owner, value, created_at, $9, $9, $9
from unnest(
    $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[]
) as written (record_id, order_id, authorization_url, provider, zone, owner, value, created_at)
on conflict (record_id) do update
set published_at = excluded.published_at, failures = 0, fault_detail = null
