-- Name $2 of account $1 rests until $4 after failure number $3, whatever found it ($5: the CA); what is wrong is $6, $7. At
-- $8, looked at again at $9. Whoever owns order $10 is told when the name has come to fail, or fails for another cause; no
-- more often than every tenth minute ($11: the earliest telling that is so recent), however it flutters.
with before as (
    select told_as, told_class, told_at
    from hostname_backoffs
    where account_id = $1 and hostname = $2
    for update
),
news as (
    select case when $6::text = 'paused_at_ca' then 'blocked' else 'failing' end as told_as
    where not exists (
        select from before
        where told_at > $11
            or (told_as = case when $6 = 'paused_at_ca' then 'blocked' else 'failing' end and told_class = $6)
    )
),
rests as (
    insert into hostname_backoffs
        (account_id, hostname, failures, blocked_until, at_ca, fault_class, fault_detail, failed_at,
         broken_since, look_at, seen_failing_at, told_as, told_class, told_at)
    select $1, $2, $3, $4::timestamptz, $5, $6, $7, $8::timestamptz, $8, $9, case when not $5 then $8 end,
        (select told_as from news), case when exists (select from news) then $6 end,
        case when exists (select from news) then $8 end
    on conflict (account_id, hostname) do update
    set failures = excluded.failures,
        blocked_until = greatest(hostname_backoffs.blocked_until, excluded.blocked_until),
        at_ca = excluded.at_ca,
        fault_class = excluded.fault_class,
        fault_detail = excluded.fault_detail,
        failed_at = excluded.failed_at,
        look_at = greatest(hostname_backoffs.look_at, excluded.look_at),
        seen_failing_at = excluded.seen_failing_at,
        told_as = coalesce(excluded.told_as, hostname_backoffs.told_as),
        told_class = case when excluded.told_as is not null then excluded.told_class else hostname_backoffs.told_class end,
        told_at = coalesce(excluded.told_at, hostname_backoffs.told_at)
)
insert into events (event_id, tenant_id, kind, subject, data, happened_at)
select uuid_at($8), orders.tenant_id, 'hostname.' || news.told_as, $2,
    jsonb_build_object(
        'hostname', $2::text, 'class', $6::text, 'detail', $7::text, 'advice', $12::text, 'at_ca', $5::boolean,
        'failures', $3::integer, 'next_attempt_at', $4::timestamptz, 'order_id', id_text('ord', orders.order_id)),
    $8
from news
join orders on orders.order_id = $10
