-- $1 tenant or null, $2 after, $3 rows; then the filters, each null where it does not matter:
-- $4 order, $5 tenant's slug, $6 open or not, $7 status, $8 authorization, $9 open though its order has ended, or not
select
    authorizations.authorization_id, authorizations.tenant_id, tenants.slug as tenant,
    authorizations.account_id, authorizations.order_id, authorizations.url, authorizations.identifier,
    authorizations.wildcard, authorizations.status, authorizations.origin, authorizations.challenge_type,
    authorizations.opened_at, authorizations.expires_at, authorizations.submit_intended_at,
    authorizations.submitted_at, authorizations.deactivate_intended_at, authorizations.settled_at,
    authorizations.final_at, authorizations.fault_class, authorizations.fault_detail, authorizations.settle_at,
    authorizations.settle_requested_at, orders.certificate_id, certificates.external_id, orders.stage,
    orders.looks, orders.due_at, orders.lease_expires_at
from authorizations
join tenants on tenants.tenant_id = authorizations.tenant_id
join orders on orders.order_id = authorizations.order_id
join certificates on certificates.certificate_id = orders.certificate_id
where ($1::uuid is null or authorizations.tenant_id = $1)
    and ($2::uuid is null or authorizations.authorization_id > $2)
    and ($4::uuid is null or authorizations.order_id = $4)
    and ($5::text is null or tenants.slug = $5)
    and ($6::boolean is null or (authorizations.settled_at is null) = $6)
    and ($7::text is null or authorizations.status = $7)
    and ($8::uuid is null or authorizations.authorization_id = $8)
    and ($9::boolean is null or (authorizations.settled_at is null and orders.ended_at is not null) = $9)
    -- Such an order does not rest: those that do for a moment are woken. They are few, and are found first.
    and ($9 is not true or authorizations.order_id = any(array(
        select order_id from orders where ended_at is not null and due_at is not null)))
order by authorizations.authorization_id
limit $3
