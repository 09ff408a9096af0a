-- Gives the names $2 of account $1 up at $3. Orders that wait for one of them wait until $4, and whoever owns it is told,
-- with the event ids $5.
with given_up as (
    update hostname_backoffs
    set suspended_at = $3, told_as = 'blocked', told_class = fault_class, told_at = $3
    where account_id = $1 and hostname = any($2) and suspended_at is null
    returning hostname, fault_class, fault_detail, broken_since
),
told as (
    insert into events (event_id, tenant_id, kind, subject, data, happened_at)
    select ids.event_id, hostnames.tenant_id, 'hostname.blocked', hostname,
        jsonb_build_object(
            'hostname', hostname, 'class', fault_class, 'detail', fault_detail, 'broken_since', broken_since,
            'given_up', true),
        $3
    from given_up
    join hostnames using (hostname)
    join unnest($2::text[], $5::uuid[]) as ids (hostname, event_id) using (hostname)
),
rests as (
    update orders
    set due_at = $4
    from given_up
    where stage = 'parked' and account_id = $1 and lease_expires_at is null
        and names && array[given_up.hostname, '*.' || given_up.hostname]
)
select hostname from given_up order by hostname
