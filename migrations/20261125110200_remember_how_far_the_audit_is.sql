-- How far the audit of an account's ledger has come: it goes round in the order of the ids.
create table ledger_audits (
    account_id uuid primary key references accounts,
    audited_up_to uuid not null,
    audited_at timestamptz not null
);
