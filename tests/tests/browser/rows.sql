-- What a service of a test would not come to by itself: orders in every stage, orphans, limits that are nearly spent,
-- webhooks that fail, servers that serve something else.

update tenants set
    display_name = case slug
        when 'harbour' then 'Harbour Hosting'
        when 'kestrel' then 'Kestrel Web'
        when 'northwind' then 'Northwind Traders'
        else 'Oak & Sons' end,
    hostnames_max = case when slug = 'harbour' then 10 end,
    new_certificates_per_day = case when slug = 'kestrel' then 6 end,
    status = case when slug = 'oak-and-sons' then 'suspended' else 'active' end,
    updated_at = '{at}';

-- Renewals of what was issued: one overdue, one due soon, the others spread over weeks.
insert into renewals (certificate_id, account_id, order_id, not_after, renew_at, look_at)
select
    certificate_id, account_id, order_id, not_after,
    '{at}'::timestamptz + (row_number() over (order by names) - 2) * interval '2 days',
    '{at}'::timestamptz + interval '30 days'
from issued_certificates
on conflict (certificate_id) do update set renew_at = excluded.renew_at;

-- One order in each stage, of certificates that have been issued before.
create temporary table staged as
select row_number() over (order by names) as nr, certificate_id, tenant_id, account_id, names
from certificates
where exists (select from issued_certificates of where of.certificate_id = certificates.certificate_id);

insert into orders
    (order_id, tenant_id, certificate_id, account_id, names, lane, stage, due_at, in_line, fair_tag, proven_at, admitted_at,
     hold_until, reserved_authorizations, asks, ca_order_url, finalize_url, ca_expires_at, csr_der, fault_class, fault_detail,
     fault_hostname, accepted_at, ended_at, deferred_as)
select
    uuid_at('{at}'::timestamptz - interval '1 minute'), tenant_id, certificate_id, account_id, names, lane, stage,
    case when stage = 'failed' then null else '{at}'::timestamptz + due end,
    in_line, nr,
    case when stage = 'accepted' and lane = 3 then null else '{at}'::timestamptz - interval '2 minutes' end,
    case when at_ca or stage = 'admitted' then '{at}'::timestamptz - interval '1 minute' end,
    case when at_ca or stage = 'admitted' then '{at}'::timestamptz + interval '7 days' end,
    case when stage = 'admitted' then 2 else 0 end,
    case when at_ca or stage = 'admitted' then 1 else 0 end,
    case when at_ca then 'http://127.0.0.1:9/order/' || nr end,
    case when at_ca then 'http://127.0.0.1:9/order/' || nr || '/finalize' end,
    case when at_ca then '{at}'::timestamptz + interval '7 days' end,
    case when stage = 'finalizing' then '\x30'::bytea end,
    case when stage in ('parked', 'failed') then fault end,
    case when stage in ('parked', 'failed') then 'the address 203.0.113.9 is not one of the hosting servers' end,
    case when stage in ('parked', 'failed') then names[1] end,
    '{at}'::timestamptz - nr * interval '17 minutes',
    case when stage = 'failed' then '{at}'::timestamptz - interval '1 minute' end,
    deferred
from staged join (values
    (1, 0::smallint, 'accepted', interval '0', true, false, null, null),
    (2, 1::smallint, 'accepted', interval '0', true, false, null, null),
    (3, 2::smallint, 'accepted', interval '3 hours', false, false, null, 'new_orders_per_account'),
    (4, 3::smallint, 'accepted', interval '0', true, false, null, null),
    (5, 3::smallint, 'parked', interval '2 hours', false, false, 'wrong_address', null),
    (6, 3::smallint, 'admitted', interval '20 seconds', false, false, null, null),
    (7, 2::smallint, 'placed', interval '20 seconds', false, true, null, null),
    (8, 1::smallint, 'submitted', interval '20 seconds', false, true, null, null),
    (9, 3::smallint, 'ready', interval '20 seconds', false, true, null, null),
    (10, 3::smallint, 'finalizing', interval '20 seconds', false, true, null, null),
    (11, 3::smallint, 'failed', interval '0', false, true, 'caa', null)
) as wanted (nr, lane, stage, due, in_line, at_ca, fault, deferred) using (nr);

-- What a worker learnt of after it had lost its lease.
insert into orphans (url, account_id, order_id, kind, units, learnt_at, looked_at)
select 'http://127.0.0.1:9/' || kind || '/' || nr, account_id, order_id, kind, case when kind = 'certificate' then 0 else nr end,
    '{at}'::timestamptz - nr * interval '3 hours', case when nr > 1 then '{at}'::timestamptz - interval '4 minutes' end
from (
    select account_id, order_id, row_number() over (order by order_id) as nr from orders where stage = 'issued'
) as known join (values (1, 'order'), (2, 'authorization'), (3, 'certificate')) as kinds (nr, kind) using (nr);

-- Nearly spent: of 300 new orders 281 are, and of the fifty certificates of a domain all.
insert into buckets (ca, limit_name, key, full_at)
select ca, 'new_orders_per_account', account_id::text, '{at}'::timestamptz + interval '3 hours' * 281 / 300 from accounts
on conflict (ca, limit_name, key) do update set full_at = excluded.full_at;
insert into buckets (ca, limit_name, key, full_at)
select ca, 'failed_authorizations_per_hostname', account_id::text || '/dear-mill.com', '{at}'::timestamptz + interval '50 minutes'
from accounts
on conflict (ca, limit_name, key) do update set full_at = excluded.full_at;
insert into limit_overrides (override_id, ca, limit_name, burst, count, period_seconds, origin, note, created_at)
select uuid_at('{at}'), ca, 'failed_authorizations_per_hostname', 10, 10, 3600, 'operator', 'granted in ticket 4711', '{at}' from accounts;

insert into paused_names (account_id, hostname, unpause_url, learnt_at)
select account_id, 'half-configured.com', 'https://ca.test/unpause?jwt=abc', '{at}'::timestamptz - interval '1 day' from accounts;

-- Webhooks: the operator's, one that fails, and one that has switched itself off.
insert into webhooks
    (webhook_id, tenant_id, external_id, url, description, kinds, enabled, secret_sealed, disabled_at, disabled_reason,
     failing_since, failures, created_at, updated_at)
select uuid_at('{at}'), (select tenant_id from tenants where slug = tenant), external_id, url, description, kinds, enabled, '\x00',
    case when not enabled then '{at}'::timestamptz end, case when not enabled then 'gone' end,
    case when failures > 0 then '{at}'::timestamptz - interval '5 hours' end, failures, '{at}', '{at}'
from (values
    (null, 'panel', 'https://panel.hosting.test/hooks', 'the panel', '{certificate.*}'::text[], true, 0),
    ('kestrel', 'billing', 'https://kestrel.test/billing', '', '{}', true, 7),
    ('harbour', null, 'https://old.harbour.test/hook', 'the old panel', '{order.failed}', false, 0)
) as wanted (tenant, external_id, url, description, kinds, enabled, failures);
insert into webhook_deliveries
    (delivery_id, webhook_id, tenant_id, event_id, order_key, xid, seq, state, due_at, attempts, created_at, ended_at)
select uuid_at('{at}'), webhook_id, webhooks.tenant_id, event_id, subject, xid, seq,
    case when failures > 0 then 'pending' else 'delivered' end,
    case when failures > 0 then '{at}'::timestamptz + interval '1 hour' end, 1, '{at}',
    case when failures = 0 then '{at}'::timestamptz end
from webhooks cross join lateral (select * from events order by seq limit 3) as told;
insert into webhook_attempts (attempt_id, delivery_id, webhook_id, tenant_id, number, outcome, http_status, detail, took_ms, at)
select uuid_at('{at}'), delivery_id, webhook_id, tenant_id, 1,
    case state when 'delivered' then 'delivered' else 'refused' end,
    case state when 'delivered' then 204 else 503 end,
    case state when 'delivered' then null else 'the receiver answered 503 Service Unavailable' end, 41, '{at}'
from webhook_deliveries;

-- An import that waits for somebody to look at it.
insert into imports
    (import_id, source, rows_total, rows_created, rows_changed, rows_unchanged, rows_refused, created_at, tenant_id, account_id,
     status, commits, sha256, bytes, line_done, line_last, received_at, due_at, compared)
select uuid_at('{at}'), 'csv', 4, 1, 1, 1, 1, '{at}', tenant_id, account_id, 'preview', false, sha256('x'), 4711, 5, 5, '{at}',
    '{at}'::timestamptz + interval '1 day', true
from tenants cross join accounts where slug = 'kestrel';
insert into import_items (import_id, line, tenant, external_id, names, challenge, verdict, columns)
select import_id, line, 'kestrel', 'shop-' || line, names, 'http-01', verdict, '{1,9,16}'
from imports cross join (values
    (2, '{summer-sale.com,www.summer-sale.com}'::text[], 'created'), (3, '{bakery-1.com}', 'changed'),
    (4, '{bakery-5.com,www.bakery-5.com}', 'unchanged'), (5, '{co.uk}', 'refused')
) as rows (line, names, verdict) where status = 'preview';
insert into import_faults (import_id, line, nr, at_column, field, code, detail)
select import_id, 5, 0, 16, 'names', 'public-suffix', 'co.uk is a public suffix: name a domain below it'
from imports where status = 'preview';

-- DNS: what was learnt of settling, a record on its way out, and a delegation.
insert into dns_settlings (server_set, delay_ms, failures, successes, learnt_at, provider) values
    ('primary', 30000, 2, 14, '{at}', 'primary'), ('dnshost.net,provider.com', 0, 0, 210, '{at}', null);
insert into dns_records
    (record_id, order_id, authorization_url, provider, zone, owner, value, created_at, published_at, unwanted_at, retry_at,
     failures, fault_detail)
select uuid_at('{at}'), order_id, 'http://127.0.0.1:9/authz/1', 'primary', 'bakery-0.com', '_acme-challenge.bakery-0.com',
    'LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0', '{at}', '{at}', '{at}', '{at}'::timestamptz + interval '5 minutes', 3,
    'the provider answered 403: the key may not write this zone'
from orders where stage = 'placed' limit 1;
insert into dns_delegations (subdomain, username, password_sha256, allow_from, created_at)
values ('8e5700ea-a4bf-41c7-8a77-e990661dcc6a', gen_random_uuid(), sha256('x'), '{203.0.113.0/24}', '{at}');

-- Servers: one serves what it should, one something else, one could not reload.
insert into deployments
    (deployment_id, tenant_id, certificate_id, target, order_id, installed_at, fault, probes, state, created_at, reported_at,
     changed_at)
select uuid_at('{at}'), tenant_id, certificate_id, 'web-' || nr, order_id, '{at}', fault,
    jsonb_build_array(jsonb_build_object(
        'address', '192.0.2.7:443', 'server_name', names[1], 'at', '{at}', 'fingerprint_sha256', repeat('ab', 32),
        'not_after', '{at}', 'fault', fault)),
    state, '{at}', '{at}', '{at}'
from (select *, row_number() over (order by names) as nr from issued_certificates) as of
join (values
    (1, 'deployed', null), (2, 'not_served', null), (3, 'failed', 'nginx: configuration file test failed')
) as wanted (nr, state, fault) using (nr);

-- One certificate per customer that its owner has paused, and one that was revoked.
update certificates set paused_at = '{at}' where certificate_id = (select certificate_id from staged where nr = 12);
insert into revocations (order_id, certificate_id, tenant_id, account_id, reason, requested_at, attempts, revoked_at)
select order_id, certificate_id, tenant_id, account_id, 4, '{at}', 1, '{at}' from issued_certificates order by names desc limit 1;

-- The CA's own words, of a validation that failed.
insert into order_problems (order_id, digest, tenant_id, step, hostname, problem, first_at, last_at)
select order_id, sha256('problem'), tenant_id, 'submit', names[1],
    '{"type": "urn:ietf:params:acme:error:unauthorized", "status": 403,
      "detail": "203.0.113.9: Invalid response from http://bakery-1.com/.well-known/acme-challenge/x: 404"}', '{at}', '{at}'
from orders where stage = 'failed';
insert into events
    (event_id, tenant_id, kind, certificate_id, order_id, data, happened_at, subject, actor_kind, actor_name, address, request_id)
select uuid_at('{at}'), tenant_id, 'order.failed', certificate_id, order_id, '{"fault": {"class": "caa"}}', '{at}',
    id_text('ord', order_id), 'service', 'engine', null, null
from orders where stage = 'failed';
drop table staged;

-- A campaign under way, with a certificate in each state, and how it went down.
insert into campaigns
    (campaign_id, reason, selector, serials, new_keys, deadline_at, rate_per_hour, created_by, created_at, found_all_at, waiting, queued,
     replaced, failed, skipped, next_at, moving_since, foreseen_at)
select uuid_at('{at}'), 'The CA revokes what R11 signed', '{"issuer": "R11", "labels": "server=web17"}', '{0a,0b}', true,
    '{at}'::timestamptz + interval '20 hours', 60, 'ada', '{at}'::timestamptz - interval '4 hours', '{at}', 1, 1, 1, 1, 1, '{at}',
    '{at}'::timestamptz - interval '4 hours', '{at}'::timestamptz + interval '2 hours';
insert into campaign_members
    (campaign_id, certificate_id, tenant_id, account_id, order_id, serial, spki_sha256, state, why, detail, queued_at, replaced_by)
select campaign_id, certificate_id, issued.tenant_id, account_id, order_id, serial, spki_sha256, state, why, detail,
    case when state in ('queued', 'replaced', 'failed') then '{at}'::timestamptz - interval '1 hour' end,
    case when state = 'replaced' then order_id end
from campaigns
cross join (
    select row_number() over (order by order_id) as nr, certificate_id, tenant_id, account_id, order_id, serial, spki_sha256
    from issued_certificates
) as issued
join (values
    (1, 'waiting', null, null), (2, 'queued', null, null), (3, 'replaced', null, null),
    (4, 'failed', 'wrong_address', 'the address 203.0.113.9 is not one of the hosting servers'),
    (5, 'skipped', 'replaced_before', null)
) as states (nr, state, why, detail) using (nr)
on conflict do nothing;
insert into campaign_samples (campaign_id, slot, taken_at, waiting, queued, replaced, failed)
select campaign_id, nr, '{at}'::timestamptz - (12 - nr) * interval '20 minutes', 13 - nr, 1, nr - 1, nr / 10
from campaigns cross join generate_series(1, 12) as nr;
