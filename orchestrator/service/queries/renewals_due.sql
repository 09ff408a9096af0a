-- Those that account $1 has to look at by $2, up to $3. One that the CA has not been asked about yet is: it may be exempt.
select
    renewals.certificate_id, renewals.order_id, renewals.renewal_id, renewals.renew_at, renewals.at_once,
    renewals.window_start, renewals.window_end, renewals.look_at,
    issued.names as issued_names, issued.not_before, issued.not_after, issued.issued_at,
    certificates.names as wished_names,
    coalesce(underway.wished, false) as "wished_is_underway!",
    coalesce(underway.issued, false) as "issued_is_underway!",
    coalesce(underway.at_ca, false) as "at_ca!",
    -- Its owner keeps the key, and has to send another request first.
    coalesce(
        certificates.csr_der is not null and (
            (not certificates.reuse_key and issued.issued_at > certificates.csr_received_at)
            or certificates.csr_received_at + certificates.key_days_max * interval '24 hours' <= $2),
        false) as "needs_request!"
from renewals
join issued_certificates as issued using (order_id)
join certificates on certificates.certificate_id = renewals.certificate_id and certificates.given_up_at is null
    and certificates.deleted_at is null
left join lateral (
    select
        bool_or(orders.names = certificates.names) as wished,
        bool_or(orders.names = issued.names) as issued,
        bool_or(orders.queue = 2) as at_ca
    from orders
    where orders.certificate_id = renewals.certificate_id and orders.ended_at is null
) as underway on true
where renewals.account_id = $1
    and renewals.look_at <= $2
    and not renewals.held
    and (renewals.poll_at is null or renewals.polled_at is not null)
order by renewals.look_at
limit $3
