create table accounts (
    account_id uuid primary key,
    ca text not null,
    directory_url text not null,
    -- Null until the CA has answered: the key is committed before the CA is asked.
    account_url text,
    key_sealed bytea not null,
    key_thumbprint text not null,
    contacts text[] not null default '{}',
    pending_authorizations_max integer not null,
    recovery_reserve integer not null,
    -- Set when the CA refuses the account itself; orders wait until the operator acts.
    stopped_at timestamptz,
    stopped_reason text,
    -- No new-order before this: what the CA said of the whole account, or of everything.
    held_until timestamptz,
    created_at timestamptz not null,
    constraint accounts_directory unique (directory_url),
    constraint accounts_url unique (account_url),
    constraint accounts_budget check (recovery_reserve >= 0 and recovery_reserve < pending_authorizations_max),
    constraint accounts_stopped check ((stopped_at is null) = (stopped_reason is null))
);

-- One instant per bucket: the theoretical arrival time of the generic cell rate algorithm.
create table limits (
    account_id uuid not null references accounts,
    limit_name text not null,
    key text not null,
    full_at timestamptz not null,
    primary key (account_id, limit_name, key),
    constraint limits_name check (limit_name in (
        'new_accounts_per_address', 'new_orders_per_account', 'certificates_per_registered_domain',
        'certificates_per_exact_set', 'failed_authorizations_per_hostname', 'consecutive_failures_per_hostname'))
);

create table hostname_backoffs (
    account_id uuid not null references accounts,
    hostname text not null,
    failures integer not null,
    blocked_until timestamptz not null,
    -- The CA saw the last failure, not only our own check.
    at_ca boolean not null,
    fault_class text not null,
    fault_detail text not null,
    failed_at timestamptz not null,
    primary key (account_id, hostname),
    constraint hostname_backoffs_counted check (failures > 0)
);
