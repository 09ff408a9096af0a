-- Names that their owners have given up, at $2, of what account $1 orders: one is free when no certificate wishes it, no
-- order has it under way, and the CA remembers no proof of it (proofs opened before $3 are none any more). $4 at the most, of
-- tenant $5 or, where that is null, of all.
with releasing as (
    select hostname, tenant_id
    from hostnames
    where releasing_since is not null and ($5::uuid is null or tenant_id = $5)
    order by releasing_since
    limit $4
    for update skip locked
),
state as (
    select
        hostname, tenant_id,
        exists (
            select from certificates
            where certificates.names && array[hostname, '*.' || hostname] and deleted_at is null
        ) as wished,
        exists (
            select from certificates
            join orders using (certificate_id)
            where certificates.names && array[hostname, '*.' || hostname] and orders.due_at is not null
        ) or exists (
            select from authorizations where account_id = $1 and identifier = hostname and final_at is null
        ) as busy,
        exists (
            select from authorizations
            where account_id = $1 and identifier = hostname and status = 'valid' and opened_at > $3
        ) as remembered
    from releasing
),
kept as (
    update hostnames set releasing_since = null, updated_at = $2
    from state
    where hostnames.hostname = state.hostname and wished
),
forgetting as (
    insert into relinquishments (url, account_id, tenant_id, hostname, requested_at, attempt_at)
    select distinct authorizations.url, $1::uuid, state.tenant_id, state.hostname, $2::timestamptz, $2::timestamptz
    from state
    join authorizations on authorizations.account_id = $1 and authorizations.identifier = state.hostname
    where not wished and not busy and authorizations.status = 'valid' and authorizations.opened_at > $3
    on conflict (account_id, url) do nothing
)
delete from hostnames
using state
where hostnames.hostname = state.hostname and not wished and not busy and not remembered
returning hostnames.hostname
