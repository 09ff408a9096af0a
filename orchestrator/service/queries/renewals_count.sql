-- How the renewals of account $1 stand at $2, but for those that their owners do not wish. Late is what should have been renewed before $3; what expires by $4 does
-- so soon.
select
    count(*) filter (where due.renew_at <= $2 and due.queued_at is null) as "due!",
    count(*) filter (where due.queued_at is not null) as "underway!",
    count(*) filter (where due.renew_at <= $3 and due.not_after > $2) as "overdue!",
    (
        select count(*)
        from renewals
        where account_id = $1 and not_after > $2 and not_after <= $4 and not held
    ) as "expiring!",
    (select count(*) from renewals where account_id = $1 and not_after <= $2 and not held) as "expired!",
    (
        select min(renew_at)
        from renewals
        where account_id = $1 and renew_at > $2 and not held
    ) as "next_at?"
from renewals as due
where due.account_id = $1 and due.renew_at <= $2 and not due.held
