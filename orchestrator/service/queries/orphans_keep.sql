-- Without a fence, and once for each URL. What the ledger knows is no orphan.
insert into orphans (url, account_id, order_id, kind, units, learnt_at)
select find.url, $1, $2, find.kind, find.units, $6
from unnest($3::text[], $4::text[], $5::integer[]) as find (url, kind, units)
where not exists (select from authorizations where authorizations.url = find.url)
    and not exists (select from orders where orders.ca_order_url = find.url)
    and not (find.kind = 'certificate' and exists (
        select from orders where order_id = $2 and (certificate_url = find.url or ended_at is not null)))
on conflict (url) do nothing
returning url
