-- Looks at $5 have seen these names of account $1 ($2) wrong or not ($4), and come again at $3. Whoever was told of one that it
-- is ready, and not since $6, is told that it is not.
with look as (
    select * from unnest($2::text[], $3::timestamptz[], $4::boolean[]) as look (hostname, at, failing)
),
before as (
    select hostname, look.at, look.failing,
        look.failing and told_as = 'ready' and told_at <= $6 as is_news,
        fault_class, fault_detail
    from hostname_backoffs
    join look using (hostname)
    where account_id = $1
    for update of hostname_backoffs
),
seen as (
    update hostname_backoffs
    set look_at = before.at,
        seen_failing_at = case when before.failing then $5 else seen_failing_at end,
        told_as = case when before.is_news then 'failing' else told_as end,
        told_class = case when before.is_news then before.fault_class else told_class end,
        told_at = case when before.is_news then $5 else told_at end
    from before
    where account_id = $1 and hostname_backoffs.hostname = before.hostname
)
insert into events (event_id, tenant_id, kind, subject, data, happened_at)
select uuid_at($5), hostnames.tenant_id, 'hostname.failing', hostname,
    jsonb_build_object('hostname', hostname, 'class', fault_class, 'detail', fault_detail), $5
from before
join hostnames using (hostname)
where before.is_news
