-- What has come into the ledger meanwhile. An order does so with all of its authorizations, and leads to its
-- certificate.
update orphans
set resolved_at = $2, resolution = 'known'
where account_id = $1 and resolved_at is null and case kind
    when 'authorization' then exists (select from authorizations where authorizations.url = orphans.url)
    when 'order' then exists (select from orders where orders.ca_order_url = orphans.url)
    else exists (
        select from orders where orders.order_id = orphans.order_id and orders.ca_order_url is not null)
end
