-- Authorizations of account $1 that are open although their deadlines were before $2, or expired unsettled; told once each,
-- at $3, up to $4.
with stuck as (
    update authorizations
    set stuck_told_at = $3
    where authorization_id in (
        select authorization_id from authorizations
        where account_id = $1 and settled_at is null and stuck_told_at is null and settle_at <= $2
        order by settle_at
        limit $4
        for update skip locked
    )
    returning authorization_id, tenant_id, order_id, identifier, status, opened_at, expires_at, settle_at
)
insert into events (event_id, tenant_id, certificate_id, kind, subject, data, happened_at)
select uuid_at($3), stuck.tenant_id, orders.certificate_id, 'authorization.stuck',
    id_text('azn', stuck.authorization_id),
    jsonb_build_object(
        'identifier', stuck.identifier, 'order_id', id_text('ord', stuck.order_id), 'status', stuck.status, 'opened_at', stuck.opened_at,
        'expires_at', stuck.expires_at, 'overdue_since', stuck.settle_at),
    $3
from stuck
join orders using (order_id)
