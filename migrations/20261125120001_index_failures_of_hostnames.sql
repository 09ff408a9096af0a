-- What the CA has counted against a hostname, or may have: the ledger's rows are the memory of it.
create index authorizations_failed on authorizations (account_id, identifier)
    where status = 'invalid' or deactivate_intended_at is not null;
