-- What polls brought ($1 is when), for certificates that are still the latest and are not being renewed.
update renewals
set renew_at = polled.renew_at,
    look_at = polled.renew_at,
    at_once = polled.at_once,
    window_start = polled.window_start,
    window_end = polled.window_end,
    explanation_url = case when polled.poll_failures = 0 then polled.explanation_url else renewals.explanation_url end,
    poll_at = polled.poll_at,
    polled_at = $1,
    poll_failures = polled.poll_failures
from unnest(
    $2::uuid[], $3::uuid[], $4::timestamptz[], $5::boolean[], $6::timestamptz[], $7::timestamptz[], $8::text[],
    $9::timestamptz[], $10::integer[]
) as polled (
    certificate_id, order_id, renew_at, at_once, window_start, window_end, explanation_url, poll_at, poll_failures
)
where renewals.certificate_id = polled.certificate_id
    and renewals.order_id = polled.order_id
    and renewals.queued_at is null
