-- Takes up to $4 of those about which account $1 asks the CA at $2, so that no other replica asks too. Who dies with them
-- in hand leaves them to be asked at $3.
with due as (
    select certificate_id
    from renewals
    where account_id = $1 and poll_at <= $2
    order by poll_at
    limit $4
    for update skip locked
)
update renewals
set poll_at = $3
from due join issued_certificates on true
where renewals.certificate_id = due.certificate_id and issued_certificates.order_id = renewals.order_id
returning
    renewals.certificate_id, renewals.order_id, renewals.renewal_id as "renewal_id!", renewals.renew_at, renewals.at_once,
    renewals.window_start, renewals.window_end, renewals.poll_failures, issued_certificates.not_before,
    issued_certificates.not_after
