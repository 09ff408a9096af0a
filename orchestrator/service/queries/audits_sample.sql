-- The next rows of the ledger in the order of their ids, from $2 on: those that the CA can still hold as pending, and
-- those it should have ended. An order that is worked on, or looks at the CA before $4 by itself, is left out; and what
-- ended after $5, since a replica of the CA may not know of it yet.
select
    authorizations.authorization_id, authorizations.order_id, orders.challenge, url, identifier, wildcard, status, challenge_type,
    challenge_url, token, key_authorization, opened_at, expires_at, settle_at, settle_requested_at, submit_intended_at, submitted_at,
    deactivate_intended_at, final_at, authorizations.fault_class, authorizations.fault_detail
from authorizations
join orders using (order_id)
where authorizations.account_id = $1
    and authorization_id > $2
    and (orders.lease_expires_at is null or orders.lease_expires_at <= $3)
    and (orders.due_at is null or orders.due_at > $4)
    and (final_at is null or (final_at <= $5 and expires_at > $3))
order by authorization_id
limit $6
