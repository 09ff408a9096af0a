-- The CA has put the windows of the versions $3 of account $2 into the past, which begins an incident at $1: told once a day, with
-- what a campaign would name. Instants in whole seconds around what was found.
with found as (
    select count(*) as certificates, array_agg(distinct issuer) as issuers, min(issued_at) as first_at, max(issued_at) as last_at
    from issued_certificates
    where order_id = any($3)
)
insert into events (event_id, kind, subject, data, happened_at, actor_name)
select uuid_at($1), 'campaign.suggested', id_text('acc', $2),
    jsonb_build_object(
        'certificates', certificates,
        'issuers', issuers,
        'issued_from', to_char(first_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        'issued_until', to_char((last_at + interval '1 second') at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')),
    $1, 'ari'
from found
where certificates > 0
    and not exists (
        select
        from events
        where subject = id_text('acc', $2) and kind = 'campaign.suggested'
            and happened_at > $1::timestamptz - interval '1 day'
    )
