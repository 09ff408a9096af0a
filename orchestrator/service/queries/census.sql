-- One look at everything that is counted for the metrics, at $1. `measure` and the two words say what of; each branch reads
-- an index or what is few, and none of them the orders that rest.
select 'tenants' as "measure!", '' as "word!", '' as "other!", count(*) as "amount!"
from tenants
union all
select 'hostnames', 'all', '', count(*)
from hostnames
union all
select
    'hostnames',
    case when suspended_at is not null then 'suspended' else 'failing' end,
    fault_class,
    count(*)
from hostname_backoffs
where not exists (
    select from paused_names
    where paused_names.account_id = hostname_backoffs.account_id
        and paused_names.hostname = hostname_backoffs.hostname)
group by 2, 3
union all
select 'hostnames', 'paused_at_ca', '', count(*)
from paused_names
union all
select 'certificates', 'wished', '', count(*)
from certificates
where deleted_at is null
union all
select
    'expiry',
    case
        when not_after <= $1 then 'expired'
        when not_after <= $1 + interval '1 day' then '1d'
        when not_after <= $1 + interval '3 days' then '3d'
        when not_after <= $1 + interval '7 days' then '7d'
        when not_after <= $1 + interval '14 days' then '14d'
        when not_after <= $1 + interval '30 days' then '30d'
        else 'later'
    end,
    '',
    count(*)
from renewals
group by 2
union all
select 'windows', 'missed', '', count(*)
from renewals
where renew_at <= $1 and window_end < $1
union all
select 'orders', case queue when 0 then 'to_be_proven' else 'at_the_gate' end, lane::text, count(*)
from orders
where in_line
group by queue, lane
union all
select 'orders', 'in_hand', lane::text, count(*)
from orders
where queue < 2 and lease_expires_at is not null
group by lane
union all
select 'orders', case stage when 'parked' then 'parked' else 'waiting' end, lane::text, count(*)
from orders
where queue < 2 and not in_line and due_at is not null and lease_expires_at is null
group by stage, lane
union all
select 'orders', case when ended_at is null then 'at_the_ca' else 'settling' end, lane::text, count(*)
from orders
where due_at is not null and queue = 2
group by 2, 3
union all
-- In micros: how long the first of each line has been wanted.
select 'head', '', lanes.lane::text, (extract(epoch from $1 - min(heads.accepted_at)) * 1000000)::bigint
from generate_series(0, 3) as lanes (lane)
cross join generate_series(0, 1) as queues (queue)
cross join lateral (
    select orders.accepted_at
    from orders
    where orders.in_line and orders.queue = queues.queue and orders.lane = lanes.lane
    order by orders.fair_tag
    limit 1
) as heads
group by lanes.lane
union all
select 'authorizations', case when settled_at is null then 'open' else 'submitted' end, '', count(*)
from authorizations
where final_at is null
group by 2
