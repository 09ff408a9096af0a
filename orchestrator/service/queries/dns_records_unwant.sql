-- Records whose authorizations need them no longer: final at the CA, or in the ledger no more. They are due to go at $1.
with unwanted as (
    select record_id
    from dns_records
    where unwanted_at is null
        and not exists (
            select
            from authorizations
            where authorizations.order_id = dns_records.order_id
                and authorizations.url = dns_records.authorization_url
                and authorizations.final_at is null
        )
    order by record_id
    limit $2
    for update skip locked
)
update dns_records
set unwanted_at = $1, retry_at = $1, visible_at = null
from unwanted
where dns_records.record_id = unwanted.record_id
