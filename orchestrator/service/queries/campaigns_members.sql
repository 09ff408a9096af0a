-- Members of campaign $1 after $2, $3 rows; $4 tenant or null, $5 state or null.
select
    campaign_members.certificate_id, campaign_members.order_id, campaign_members.serial, campaign_members.state,
    campaign_members.why, campaign_members.detail, campaign_members.queued_at, campaign_members.replaced_by,
    certificates.names, certificates.external_id, tenants.slug as tenant,
    fresh.serial as "replaced_by_serial?", latest.order_id as "latest_order?"
from campaign_members
join certificates using (certificate_id)
join tenants on tenants.tenant_id = campaign_members.tenant_id
left join issued_certificates as fresh on fresh.order_id = campaign_members.replaced_by
left join lateral (
    select orders.order_id
    from orders
    where orders.certificate_id = campaign_members.certificate_id
        and orders.accepted_at >= campaign_members.queued_at - interval '1 day'
        and orders.order_id <> campaign_members.order_id
    order by orders.ended_at is null desc, orders.accepted_at desc, orders.order_id desc
    limit 1
) as latest on campaign_members.queued_at is not null
where campaign_members.campaign_id = $1
    and ($2::uuid is null or campaign_members.certificate_id > $2)
    and ($4::uuid is null or campaign_members.tenant_id = $4)
    and ($5::text is null or campaign_members.state = $5)
order by campaign_members.certificate_id
limit $3
