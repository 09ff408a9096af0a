-- $1 tenant or null, $2 after, $3 rows; then the filters, each null where it does not matter:
-- $4 id, $5 states, none: all, $6 whether another version is current, $7 target, $8 certificate, $9 last told of before
select
    deployments.deployment_id, deployments.tenant_id, deployments.certificate_id, certificates.external_id,
    certificates.names, deployments.target, deployments.order_id, deployments.installed_at, deployments.fault,
    deployments.probes, deployments.state, deployments.created_at, deployments.reported_at, deployments.changed_at,
    current.order_id as "current_order_id?", installed.not_after as "not_after?",
    (deployments.order_id is distinct from current.order_id) as "is_stale!"
from deployments
join certificates using (certificate_id)
left join issued_certificates as installed on installed.order_id = deployments.order_id
left join lateral (
    select order_id from issued_certificates
    where issued_certificates.certificate_id = deployments.certificate_id
    order by issued_certificates.issued_at desc, issued_certificates.order_id desc
    limit 1
) as current on true
where certificates.deleted_at is null
    and ($1::uuid is null or deployments.tenant_id = $1)
    and ($2::uuid is null or deployments.deployment_id > $2)
    and ($4::uuid is null or deployments.deployment_id = $4)
    and (cardinality($5::text[]) = 0 or deployments.state = any($5))
    and ($6::boolean is null or (deployments.order_id is distinct from current.order_id) = $6)
    and ($7::text is null or deployments.target = $7)
    and ($8::uuid is null or deployments.certificate_id = $8)
    and ($9::timestamptz is null or deployments.reported_at < $9)
order by deployments.deployment_id
limit $3
