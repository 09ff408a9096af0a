-- Certificates that may stand as is asked for, of very many that do not: with an order under way ($1), with a parked one ($2),
-- with one that came to nothing ($3), expired at $5 ($4), revoked ($6), paused ($7); of orders of one failure class, if $8 is not
-- null. After $9, the first $10. Read by indexes alone; `read` says how many rows that took, of $11 at the most.
with found as (
    select certificate_id from orders where $1 and due_at is not null
    union all
    select certificate_id
    from orders
    where $2 and stage = 'parked' and account_id in (select account_id from accounts) and ($8::text is null or fault_class = $8)
    union all
    select certificate_id
    from orders as last
    where $3 and last.stage in ('failed', 'cancelled') and ($8::text is null or last.fault_class = $8)
        and not exists (
            select from orders as later
            where later.certificate_id = last.certificate_id
                and (later.accepted_at, later.order_id) > (last.accepted_at, last.order_id)
        )
    union all
    select certificate_id from renewals where $4 and account_id in (select account_id from accounts) and not_after <= $5
    union all
    select issued_certificates.certificate_id from revocations join issued_certificates using (order_id) where $6
    union all
    select certificate_id from certificates where $7 and paused_at is not null
),
bounded as materialized (
    select certificate_id from found limit $11
)
select distinct certificate_id as "certificate_id!", (select count(*) from bounded) as "read!"
from bounded
where ($9::uuid is null or certificate_id > $9)
order by certificate_id
limit $10
