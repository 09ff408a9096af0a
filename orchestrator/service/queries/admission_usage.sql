-- What the account holds, counted: reservations that may still have something pending at the CA, every
-- authorization of which the CA has not confirmed another status, and what the orphan inbox tells of.
select
    (
        select coalesce(sum(reserved_authorizations), 0)
        from orders
        where account_id = $1 and reserved_authorizations > 0 and hold_until > $2
    ) as "reserved!",
    (select count(*) from authorizations where account_id = $1 and final_at is null)
        + (select coalesce(sum(units), 0) from orphans where account_id = $1 and resolved_at is null) as "pending!",
    -- Those of the names asked for that are being validated for another order.
    array(select validation_target from flights where validation_target = any($3)) as "busy!"
