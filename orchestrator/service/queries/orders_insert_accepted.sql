insert into orders (
    order_id, tenant_id, certificate_id, account_id, names, profile, lane, stage, due_at, accepted_at
)
select
    wished.order_id, certificates.tenant_id, certificates.certificate_id, certificates.account_id,
    certificates.names, certificates.profile, $3, 'accepted', $4, $4
from unnest($1::uuid[], $2::uuid[]) as wished (order_id, certificate_id)
join certificates using (certificate_id)
