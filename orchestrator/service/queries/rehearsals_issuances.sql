-- Every certificate's first issuance, in the order in which they came.
select
    tenants.slug as tenant,
    certificates.external_id,
    certificates.created_at as wished_at,
    min(issued_certificates.issued_at) as "issued_at!"
from issued_certificates
join certificates using (certificate_id)
join tenants on tenants.tenant_id = certificates.tenant_id
group by tenants.slug, certificates.external_id, certificates.created_at
order by "issued_at!"
