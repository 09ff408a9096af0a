-- Events that $1 may see (null: all), after place ($2 transaction, $3 number) up to place ($4, $5), in their order, up to $6;
-- $7 kinds (none: all), $8 subject, $9 tenant by its slug, $10 certificate, $11 a number that none of them is below.
select
    event_id, kind, happened_at, events.tenant_id, certificate_id, order_id, subject, actor_kind, actor_id, actor_name,
    host(address) as address, request_id, data, api_keys.tenant_id as "actor_tenant_id?", xid::text as "xid!", seq
from events
left join api_keys on actor_kind = 'key' and api_keys.key_id = actor_id
where (xid, seq) > ($2::text::xid8, $3) and (xid, seq) <= ($4::text::xid8, $5) and seq > $11
    and ($1::uuid is null or events.tenant_id = $1)
    and ($7::text[] = '{}' or kind = any($7) or split_part(kind, '.', 1) || '.*' = any($7))
    and ($8::text is null or subject = $8)
    and ($9::text is null or events.tenant_id = (select tenant_id from tenants where slug = $9))
    and ($10::uuid is null or certificate_id = $10)
order by xid, seq
limit $6
