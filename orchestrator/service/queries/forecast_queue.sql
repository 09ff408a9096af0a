-- $1 account: what is queued, alike orders together
select
    tenant_id as "tenant_id!",
    lane as "lane!",
    count(*) as "orders!",
    ceil(avg(cardinality(names)))::integer as "names!",
    min(set_exempt_until) as set_exempt_until,
    min(ari_exempt_from) as ari_exempt_from,
    min(ari_exempt_until) as ari_exempt_until
from orders
where account_id = $1 and stage = 'accepted'
group by tenant_id, lane, set_exempt_until is null, ari_exempt_until is null
order by lane, min(fair_tag), tenant_id
