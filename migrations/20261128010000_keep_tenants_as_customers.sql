-- A tenant as its provider keeps it: what it is called elsewhere, whether it may begin anything new, and how much.
alter table tenants
    add column display_name text not null default ''
        constraint tenants_display_name check (char_length(display_name) <= 200),
    add column external_id text
        constraint tenants_external_id_is_one check (char_length(external_id) between 1 and 200),
    add column status text not null default 'active'
        constraint tenants_status check (status in ('active', 'suspended')),
    -- Null: as many as there are.
    add column hostnames_max integer constraint tenants_hostnames_max check (hostnames_max >= 0),
    add column new_certificates_per_day integer
        constraint tenants_new_certificates_per_day check (new_certificates_per_day >= 0),
    -- One up at each change: what a client has read is still true while this stands.
    add column version bigint not null default 1,
    add column updated_at timestamptz;
create unique index tenants_external_id on tenants (external_id) where external_id is not null;

-- Orders that tenants have brought about by their wishes, by the day (UTC). Counted in the transaction of the wish, and
-- never taken back: a certificate that is removed has been ordered all the same.
create table tenant_days (
    tenant_id uuid not null references tenants,
    day date not null,
    new_certificates integer not null constraint tenant_days_new_certificates check (new_certificates >= 0),
    primary key (tenant_id, day)
);
