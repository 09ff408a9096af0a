-- The mirror of the CA's limits. One instant per CA, limit and key: when the bucket is full again, the theoretical
-- arrival time of the generic cell rate algorithm. Some limits count over all accounts of a CA, so the account is
-- part of the key where it matters, and not of every row.
create table buckets (
    ca text not null,
    limit_name text not null,
    -- The account's id; the registered domain; the sha256 of the exact set; account's id, slash, hostname.
    key text not null,
    full_at timestamptz not null,
    -- The latest instant for which a token of it was promised to an order that waits.
    promised_until timestamptz,
    primary key (ca, limit_name, key),
    constraint buckets_limit check (limit_name in (
        'new_accounts_per_address', 'new_orders_per_account', 'certificates_per_registered_domain',
        'certificates_per_exact_set', 'failed_authorizations_per_hostname', 'consecutive_failures_per_hostname'))
);
-- What is not full: everything that headroom tells.
create index buckets_of_limit on buckets (ca, limit_name, full_at);

-- `limits` goes in a later release, when none is left that reads it.
insert into buckets (ca, limit_name, key, full_at)
select accounts.ca, limits.limit_name, accounts.account_id::text, limits.full_at
from limits join accounts using (account_id)
where limits.limit_name = 'new_orders_per_account' and limits.key = '';

-- What an order in flight will take from a limit that the CA checks at new-order and counts at issuance. Without these,
-- orders in parallel would all pass the same check.
create table limit_reservations (
    order_id uuid not null references orders,
    ca text not null,
    limit_name text not null,
    key text not null,
    -- How long one token takes to come back, as the limit was when the order went through the gate.
    refill_micros bigint not null,
    primary key (order_id, limit_name, key)
);
create index limit_reservations_of_key on limit_reservations (ca, limit_name, key);

-- Where the CA counts otherwise than its profile says: granted by the CA and entered by the operator, or learnt from
-- what it said with a 429.
create table limit_overrides (
    override_id uuid primary key,
    ca text not null,
    limit_name text not null,
    -- Null: every account.
    account_id uuid references accounts,
    -- Null: every key.
    key text,
    burst integer not null,
    count integer not null,
    period_seconds bigint not null,
    origin text not null,
    note text not null,
    created_at timestamptz not null,
    -- Null: until it is taken back.
    expires_at timestamptz,
    constraint limit_overrides_origin check (origin in ('operator', 'learnt')),
    constraint limit_overrides_bucket check (burst > 0 and count > 0 and period_seconds > 0)
);
create unique index limit_overrides_of on limit_overrides (ca, limit_name, account_id, key) nulls not distinct;

-- Every exact set of names that is known to have been issued, by us or by whoever served them before, and when last:
-- issued again within the CA's span it is a renewal, which some limits do not count.
create table issued_sets (
    ca text not null,
    -- As in `buckets.key`.
    set_key text not null,
    issued_at timestamptz not null,
    primary key (ca, set_key)
);
insert into issued_sets (ca, set_key, issued_at)
select
    accounts.ca,
    encode(sha256(convert_to(array_to_string(array(select name from unnest(names) as name order by name collate "C"), ','), 'UTF8')), 'hex'),
    max(issued_at)
from issued_certificates join accounts using (account_id)
group by 1, 2;
