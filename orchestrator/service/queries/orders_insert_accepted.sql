-- $1 orders, $2 their certificates, $3 lane, $4 now, $5 tags, $6 for how many seconds a CA remembers an exact set,
-- $7 the span of the request at which they are made
insert into orders (
    order_id, tenant_id, certificate_id, account_id, names, challenge, profile, lane, stage, due_at, accepted_at, fair_tag,
    in_line, split, set_exempt_until, traceparent
)
select
    wished.order_id, certificates.tenant_id, certificates.certificate_id, certificates.account_id,
    certificates.names, certificates.challenge, certificates.profile, $3, 'accepted', $4, $4, wished.fair_tag, true,
    -- A request that its tenant has sent is for all of its names.
    certificates.csr_der is not null,
    (
        -- Issued lately for the same names: the CA takes it for a renewal.
        select issued_sets.issued_at + $6 * interval '1 second'
        from issued_sets
        where issued_sets.ca = accounts.ca
            and issued_sets.set_key
                = encode(sha256(convert_to(array_to_string(certificates.names, ','), 'UTF8')), 'hex')
            and issued_sets.issued_at + $6 * interval '1 second' > $4
    ),
    $7
from unnest($1::uuid[], $2::uuid[], $5::bigint[]) as wished (order_id, certificate_id, fair_tag)
-- Row by row by its key alone: a planner that takes the table for small would read all of it for each.
cross join lateral (
    select * from certificates where certificates.certificate_id = wished.certificate_id offset 0
) as certificates
join accounts using (account_id)
-- Removed at the same moment: there is nothing to order.
where certificates.deleted_at is null
