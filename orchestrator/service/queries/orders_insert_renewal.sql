-- Order $1 renews what certificate $2 has, in lane $3, at $4, with the tag $5. $6: for how many seconds a CA remembers an
-- exact set; $7: when the renewal is looked at next, if nothing has come by then; $8: the span of the request.
with renewing as (
    update renewals
    set queued_at = $4, poll_at = null, look_at = $7
    where certificate_id = $2
    returning renewal_id, window_start, window_end
)
insert into orders (
    order_id, tenant_id, certificate_id, account_id, names, challenge, profile, replaces, lane, stage, due_at, accepted_at,
    fair_tag, in_line, split, set_exempt_until, ari_exempt_from, ari_exempt_until, traceparent
)
select
    $1, certificates.tenant_id, certificates.certificate_id, certificates.account_id, certificates.names,
    certificates.challenge, certificates.profile,
    -- A window tells that the CA has renewal information.
    case when renewing.window_end is not null then renewing.renewal_id end,
    $3, 'accepted', $4, $4, $5, true, certificates.csr_der is not null,
    (
        select issued_sets.issued_at + $6 * interval '1 second'
        from issued_sets
        where issued_sets.ca = accounts.ca
            and issued_sets.set_key
                = encode(sha256(convert_to(array_to_string(certificates.names, ','), 'UTF8')), 'hex')
            and issued_sets.issued_at + $6 * interval '1 second' > $4
    ),
    case when renewing.window_end > $4 then renewing.window_start end,
    case when renewing.window_end > $4 then renewing.window_end end,
    $8
from certificates
join accounts using (account_id)
left join renewing on true
where certificates.certificate_id = $2 and certificates.deleted_at is null
