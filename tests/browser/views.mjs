// Every view that there is, with something in it to look at.

export async function views(world) {
    const { certificate, failed, issued, upload, hostname, webhook, campaign } = await world.row(
        `select
            (select id_text('crt', certificate_id) from deployments where state = 'not_served' limit 1) as certificate,
            (select id_text('ord', order_id) from orders where stage = 'failed' order by fault_class limit 1) as failed,
            (select id_text('ord', order_id) from response_fetches join orders using (order_id) where stage = 'issued' limit 1) as issued,
            (select id_text('imp', import_id) from imports order by status = 'preview' desc, rows_total desc limit 1) as upload,
            (select hostname from hostnames where hostname = 'moved-away.com') as hostname,
            (select id_text('whk', webhook_id) from webhooks where failures > 0 limit 1) as webhook,
            (select id_text('cmp', campaign_id) from campaigns where status = 'running' limit 1) as campaign`);
    return {
        'sign-in': '/admin/sign-in',
        overview: '/admin',
        'authorizations-pending': '/admin/authorizations?tab=pending',
        'authorizations-failed': '/admin/authorizations?tab=failed',
        'authorizations-orphaned': '/admin/authorizations?tab=orphaned',
        queue: '/admin/queue',
        'order-issued': `/admin/orders/${issued}`,
        'order-failed': `/admin/orders/${failed}`,
        hostnames: '/admin/hostnames',
        hostname: `/admin/hostnames/${encodeURIComponent(hostname)}`,
        certificates: '/admin/certificates',
        certificate: `/admin/certificates/${certificate}`,
        deployments: '/admin/deployments',
        tenants: '/admin/tenants',
        tenant: '/admin/tenants/harbour',
        imports: '/admin/imports',
        'import-new': '/admin/imports/new',
        import: `/admin/imports/${upload}`,
        campaigns: '/admin/campaigns',
        'campaign-new': '/admin/campaigns/new',
        campaign: `/admin/campaigns/${campaign}`,
        plan: '/admin/plan',
        events: '/admin/events',
        webhooks: '/admin/webhooks',
        webhook: `/admin/webhooks/${webhook}`,
        accounts: '/admin/accounts',
        checks: '/admin/checks',
        dns: '/admin/dns',
        users: '/admin/users',
    };
}
