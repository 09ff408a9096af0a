-- Names that the CA has paused for an account, until a person opens its link and says so here.
create table paused_names (
    account_id uuid not null references accounts,
    hostname text not null,
    -- Where a person lets the CA go on. Null: the CA gave none.
    unpause_url text,
    learnt_at timestamptz not null,
    primary key (account_id, hostname)
);
