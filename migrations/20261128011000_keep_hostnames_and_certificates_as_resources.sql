-- Hostnames and certificates as their owners keep them over the API: what they are called elsewhere, what is wished of
-- them, and a number that goes up at each change, by which a client knows that what it has read is still true.
create function raise_version() returns trigger language plpgsql as $$
begin
    new.version = old.version + 1;
    return new;
end $$;

alter table certificates
    -- Null: as the service is set up to make them.
    add column key_type text
        constraint certificates_key_type check (key_type in ('ecdsa-p256', 'ecdsa-p384', 'rsa2048', 'rsa3072', 'rsa4096')),
    -- A renewal keeps the key, and with it the request of whoever keeps the key, for so many days at the most.
    add column reuse_key boolean not null default false,
    add column key_days_max integer constraint certificates_key_days_max check (key_days_max between 1 and 3650),
    -- The request of an owner who keeps the key: each order is finalized with exactly this one.
    add column csr_der bytea,
    add column csr_received_at timestamptz,
    add column auto_renew boolean not null default true,
    -- Nothing is ordered for it meanwhile; what is at the CA goes on to its end.
    add column paused_at timestamptz,
    -- Its owner has removed it. The row stays for its orders, whose authorizations are settled.
    add column deleted_at timestamptz,
    add column version bigint not null default 1,
    add column updated_at timestamptz,
    add constraint certificates_csr check ((csr_der is null) = (csr_received_at is null)),
    -- What is called by the same name afterwards is another one.
    drop constraint certificates_external_id;
create unique index certificates_external_id on certificates (tenant_id, external_id) where deleted_at is null;
create trigger certificates_version before update on certificates for each row execute function raise_version();

alter table hostnames
    add column external_id text constraint hostnames_external_id_is_one check (char_length(external_id) between 1 and 255),
    add column labels jsonb not null default '{}',
    -- A certificate is to be kept for it, and which one that is. A name that came with a certificate has neither.
    add column auto_certificate boolean not null default false,
    add column certificate_id uuid references certificates on delete set null,
    -- Its owner has given it up. It is nobody else's before the CA has been told to forget that it was proven.
    add column releasing_since timestamptz,
    add column version bigint not null default 1,
    add column updated_at timestamptz;
create unique index hostnames_external_id on hostnames (tenant_id, external_id) where external_id is not null;
create index hostnames_of_certificate on hostnames (certificate_id) where certificate_id is not null;
create index hostnames_releasing on hostnames (releasing_since) where releasing_since is not null;
-- Lists are walked by name, byte by byte, so that one index serves the walk and the search for a beginning.
create index hostnames_in_order on hostnames (hostname collate "C");
drop index hostnames_of_tenant;
create index hostnames_of_tenant on hostnames (tenant_id, hostname collate "C");
create trigger hostnames_version before update on hostnames for each row execute function raise_version();

-- Not renewed by itself: its owner does not wish it.
alter table renewals add column held boolean not null default false;
drop index renewals_to_look_at;
create index renewals_to_look_at on renewals (account_id, look_at) where not held;

-- Somebody wants it to end. Who works on it next ends it, if it can still be ended.
alter table orders
    add column cancel_requested_at timestamptz,
    -- With its certificate: it stays out of line before the gate, whatever makes it due.
    add column paused boolean not null default false,
    drop constraint orders_with_a_key,
    -- Without a key: the request is its owner's, who keeps it.
    add constraint orders_with_a_request check (
        (stage not in ('finalizing', 'issued') or csr_der is not null)
        and (key_sealed is null or csr_der is not null)
        and (stage in ('finalizing', 'issued', 'failed', 'cancelled') or csr_der is null));
alter table issued_certificates alter column key_sealed drop not null;

-- What the CA has said in answer to the requests of an order, as it said it: each once, with how often.
create table order_problems (
    order_id uuid not null references orders,
    -- SHA-256 of step, name and document.
    digest bytea not null,
    tenant_id uuid not null references tenants,
    step text not null,
    hostname text,
    problem jsonb not null,
    first_at timestamptz not null,
    last_at timestamptz not null,
    times integer not null default 1,
    primary key (order_id, digest)
);

-- What is to be revoked at the CA (RFC 8555 §7.6).
create table revocations (
    order_id uuid primary key references issued_certificates,
    certificate_id uuid not null references certificates,
    tenant_id uuid not null references tenants,
    account_id uuid not null references accounts,
    -- RFC 5280 §5.3.1.
    reason smallint not null constraint revocations_reason check (reason in (0, 1, 3, 4, 5)),
    requested_at timestamptz not null,
    -- When the CA is asked next; null: it is over.
    attempt_at timestamptz,
    attempts integer not null default 0,
    revoked_at timestamptz,
    -- What the CA said last where it did not do it.
    problem jsonb,
    constraint revocations_ended check (attempt_at is null or revoked_at is null)
);
create index revocations_due on revocations (account_id, attempt_at) where attempt_at is not null;
create index revocations_of on revocations (certificate_id);

-- Proofs of control that the CA still remembers, of names that are given up: each is deactivated there, which is free,
-- before the name may be another's.
create table relinquishments (
    url text not null,
    account_id uuid not null references accounts,
    tenant_id uuid not null references tenants,
    hostname text not null,
    requested_at timestamptz not null,
    attempt_at timestamptz not null,
    attempts integer not null default 0,
    primary key (account_id, url)
);
create index relinquishments_due on relinquishments (account_id, attempt_at);
create index relinquishments_of on relinquishments (hostname);
create index authorizations_valid on authorizations (account_id, identifier) where status = 'valid';
