-- $1 tenant or null, $2 after, $3 rows, $4 now; then the filters, each null where it does not matter: $5 campaign, $6 status,
-- $7 true: only those that have not ended.
select
    campaigns.campaign_id, campaigns.tenant_id, tenants.slug as "tenant?", campaigns.reason, campaigns.selector,
    cardinality(campaigns.serials) as "serials!", campaigns.new_keys, campaigns.deadline_at, campaigns.rate_per_hour,
    campaigns.status, campaigns.created_by, campaigns.created_at, campaigns.found_all_at, campaigns.waiting, campaigns.queued,
    campaigns.replaced, campaigns.failed, campaigns.skipped, campaigns.next_at, campaigns.foreseen_at, campaigns.told_late_at,
    campaigns.ended_at, campaigns.looked_to, past.replaced as "past_replaced?", past.taken_at as "past_at?"
from campaigns
left join tenants using (tenant_id)
left join lateral (
    -- An hour ago, or as long as it has been running: what its pace is measured by.
    select campaign_samples.replaced, campaign_samples.taken_at
    from campaign_samples
    where campaign_samples.campaign_id = campaigns.campaign_id
        and campaign_samples.taken_at >= campaigns.moving_since
    order by (campaign_samples.taken_at <= $4::timestamptz - interval '1 hour') desc,
        case when campaign_samples.taken_at <= $4::timestamptz - interval '1 hour'
            then -extract(epoch from campaign_samples.taken_at) else extract(epoch from campaign_samples.taken_at) end
    limit 1
) as past on campaigns.ended_at is null
where ($1::uuid is null or campaigns.tenant_id = $1)
    and ($2::uuid is null or campaigns.campaign_id > $2)
    and ($5::uuid is null or campaigns.campaign_id = $5)
    and ($6::text is null or campaigns.status = $6)
    and (not $7::boolean or campaigns.ended_at is null)
order by campaigns.campaign_id
limit $3
