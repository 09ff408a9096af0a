insert into certificates (
    certificate_id, tenant_id, account_id, external_id, names, challenge, labels, import_id, created_at
)
select
    certificate_id, tenant_id, $7, external_id, string_to_array(names, ','), challenge, labels, $8, $9
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::jsonb[])
    as wished (certificate_id, tenant_id, external_id, names, challenge, labels)
