-- The next $4 of campaign $1 that wait, of account $2, as they stand at $3; $5: no key is kept.
with member as (
    select certificate_id, order_id, spki_sha256
    from campaign_members
    where campaign_id = $1 and state = 'waiting' and account_id = $2
    order by certificate_id
    limit $4
)
select
    member.certificate_id as "certificate_id!", current.order_id as "current_order!",
    current.order_id <> member.order_id and (not $5::boolean or current.spki_sha256 <> member.spki_sha256) as "is_replaced!",
    current.names as "issued_names!", current.not_before as "not_before!", current.not_after as "not_after!",
    current.issued_at as "issued_at!", certificates.names as "wished_names!",
    certificates.deleted_at is not null or certificates.given_up_at is not null as "is_removed!",
    certificates.paused_at is not null as "is_paused!",
    -- Its owner keeps the key, and has to send another request first.
    coalesce(
        certificates.csr_der is not null and (
            ((not certificates.reuse_key or $5) and current.issued_at > certificates.csr_received_at)
            or certificates.csr_received_at + certificates.key_days_max * interval '24 hours' <= $3),
        false) as "needs_request!",
    renewals.renewal_id as "renewal_id?", renewals.renew_at as "renew_at?", renewals.at_once as "at_once?",
    renewals.window_start as "window_start?", renewals.window_end as "window_end?", renewals.look_at as "look_at?",
    coalesce(underway.wished, false) as "wished_is_underway!",
    coalesce(underway.issued, false) as "issued_is_underway!",
    coalesce(underway.at_ca, false) as "at_ca!"
from member
join certificates using (certificate_id)
cross join lateral (
    select *
    from issued_certificates
    where issued_certificates.certificate_id = member.certificate_id
    order by issued_certificates.issued_at desc, issued_certificates.order_id desc
    limit 1
) as current
left join renewals on renewals.certificate_id = member.certificate_id and renewals.order_id = current.order_id
left join lateral (
    select
        bool_or(orders.names = certificates.names) as wished,
        bool_or(orders.names = current.names) as issued,
        bool_or(orders.queue = 2) as at_ca
    from orders
    where orders.certificate_id = member.certificate_id and orders.ended_at is null
) as underway on true
order by member.certificate_id
