-- $1 import, $2 and $3 the lines after and up to, $4 the account, $5 now
insert into certificates (
    certificate_id, tenant_id, account_id, external_id, names, challenge, labels, import_id, created_at
)
select items.certificate_id, tenants.tenant_id, $4, items.external_id, items.names, items.challenge, items.labels, $1, $5
from import_items as items
join tenants on tenants.slug = items.tenant
where items.import_id = $1 and items.line > $2 and items.line <= $3 and items.verdict = 'created'
