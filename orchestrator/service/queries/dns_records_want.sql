-- Records that an order wants, $1 under the lease $2: rows first, so that whatever is published has one. Says whether the
-- lease is still held; otherwise nothing is written.
with holder as (
    select order_id from orders where order_id = $1 and lease_epoch = $2 for share
),
kept as (
    insert into dns_records (
        record_id, order_id, authorization_url, provider, zone, owner, value, created_at
    )
    select
        wanted.record_id, holder.order_id, wanted.authorization_url, wanted.provider, wanted.zone, wanted.owner,
        wanted.value, $9
    from unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
        as wanted (record_id, authorization_url, provider, zone, owner, value)
    cross join holder
    on conflict on constraint dns_records_once do nothing
)
select exists(select from holder) as "held!"
