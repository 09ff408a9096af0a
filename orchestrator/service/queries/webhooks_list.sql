-- Webhooks of whom $1 may see (null: everybody), from id $2 on, up to $3; $4 one of them alone, $5 by its external id.
select
    webhook_id, tenant_id, external_id, url, description, kinds, enabled, disabled_at, disabled_reason, failing_since,
    previous_secret_until, version, created_at, updated_at,
    (
        select count(*) from webhook_deliveries
        where webhook_deliveries.webhook_id = webhooks.webhook_id and webhook_deliveries.state = 'pending'
    ) as "pending!"
from webhooks
where ($1::uuid is null or tenant_id = $1)
    and ($2::uuid is null or webhook_id > $2)
    and ($4::uuid is null or webhook_id = $4)
    and ($5::text is null or external_id = $5)
order by webhook_id
limit $3
