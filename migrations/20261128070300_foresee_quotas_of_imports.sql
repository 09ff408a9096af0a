-- What a preview has given to tenants that have quotas, so that each row is judged as the commit will judge it: by what the
-- rows before it take. As the rows themselves, they refer to nothing, and go before their import does.
create table import_takings (
    import_id uuid not null,
    tenant_id uuid not null,
    hostnames bigint not null,
    certificates bigint not null,
    primary key (import_id, tenant_id)
);
create table import_names (
    import_id uuid not null,
    hostname text not null,
    primary key (import_id, hostname)
);
