-- Events that $1 may see (null: all), before $2, the latest first, up to $3; $4 kinds (none: all), $5 subject, $6 tenant by its
-- slug, $7 certificate, $8 the lowest id that is old enough.
select
    event_id, kind, happened_at, events.tenant_id, certificate_id, order_id, subject, actor_kind, actor_id, actor_name,
    host(address) as address, request_id, data, api_keys.tenant_id as "actor_tenant_id?"
from events
left join api_keys on actor_kind = 'key' and api_keys.key_id = actor_id
where ($1::uuid is null or events.tenant_id = $1)
    and ($2::uuid is null or event_id < $2)
    and ($4::text[] = '{}' or kind = any($4) or split_part(kind, '.', 1) || '.*' = any($4))
    and ($5::text is null or subject = $5)
    and ($6::text is null or events.tenant_id = (select tenant_id from tenants where slug = $6))
    and ($7::uuid is null or certificate_id = $7)
    and ($8::uuid is null or event_id >= $8)
order by event_id desc
limit $3
