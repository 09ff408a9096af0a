-- Events of some kinds, of whomever: before $1, the latest first, up to $2; $3 kinds, $4 the lowest id that is old enough. From
-- each kind its latest, since most kinds are rare among very many events of a few. Which kinds there are is read off the index.
with recursive told (kind) as (
    (select kind from events order by kind limit 1)
    union all
    select (select events.kind from events where events.kind > told.kind order by events.kind limit 1)
    from told
    where told.kind is not null
)
select
    latest.event_id, latest.kind, latest.happened_at, latest.tenant_id, latest.certificate_id, latest.order_id, latest.subject,
    latest.actor_kind, latest.actor_id, latest.actor_name, host(latest.address) as address, latest.request_id, latest.data,
    api_keys.tenant_id as "actor_tenant_id?"
from told
cross join lateral (
    select * from events
    where events.kind = told.kind
        and ($1::uuid is null or event_id < $1)
        and ($4::uuid is null or event_id >= $4)
    order by event_id desc
    limit $2
) as latest
left join api_keys on latest.actor_kind = 'key' and api_keys.key_id = latest.actor_id
where told.kind = any($3) or split_part(told.kind, '.', 1) || '.*' = any($3)
order by latest.event_id desc
limit $2
