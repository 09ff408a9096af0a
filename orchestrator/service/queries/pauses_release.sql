-- $1 account, $2 a name, or null for all, $3 now: what waits for a name that the CA had paused is due. Who has such an
-- order in his hands looks again by himself.
with released as (
    delete from paused_names
    where account_id = $1 and ($2::text is null or hostname = $2)
    returning hostname
),
forgotten as (
    delete from hostname_backoffs
    using released
    where hostname_backoffs.account_id = $1
        and hostname_backoffs.hostname = ltrim(released.hostname, '*.')
        and hostname_backoffs.fault_class = 'paused_at_ca'
),
-- Unpaused, the CA counts anew.
refilled as (
    delete from buckets
    using released
    where buckets.ca = (select ca from accounts where account_id = $1)
        and buckets.limit_name = 'consecutive_failures_per_hostname'
        and buckets.key = concat($1::uuid, '/', released.hostname)
),
due as (
    update orders
    set due_at = $3
    where account_id = $1
        and stage in ('accepted', 'parked')
        and lease_expires_at is null
        and due_at > $3
        and names && array(select hostname from released)
)
select hostname from released order by hostname
