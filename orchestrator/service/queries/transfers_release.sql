-- What tenant $1 has wished for a name that goes to another one ($2, and its wildcard $3) at $4: a certificate with other
-- names goes on without it, and one without is given up and not renewed. Orders that have not been to the CA end.
with touched as (
    select
        certificate_id,
        array_remove(array_remove(names, $2), $3) as rest
    from certificates
    where tenant_id = $1 and names && array[$2::text, $3::text] and deleted_at is null
    for update
),
changed as (
    update certificates
    set names = case when cardinality(touched.rest) = 0 then names else touched.rest end,
        given_up_at = case when cardinality(touched.rest) = 0 then $4::timestamptz end
    from touched
    where certificates.certificate_id = touched.certificate_id
    returning certificates.certificate_id, cardinality(touched.rest) = 0 as given_up
),
unplanned as (
    delete from renewals using changed
    where renewals.certificate_id = changed.certificate_id and changed.given_up
),
cancelled as (
    update orders
    set stage = 'cancelled', ended_at = $4::timestamptz, due_at = null, in_line = false,
        -- Whoever is proving it has been overtaken, and writes nothing any more.
        lease_epoch = lease_epoch + 1, lease_expires_at = null, lease_holder = null
    from changed
    where orders.certificate_id = changed.certificate_id
        and orders.names && array[$2::text, $3::text]
        and orders.stage in ('accepted', 'parked')
)
select certificate_id, given_up as "given_up!" from changed
