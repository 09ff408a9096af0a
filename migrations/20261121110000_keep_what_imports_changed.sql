alter table imports add column rows_changed integer not null default 0;

-- Pages are walked by id: ids are made in the order of time, so one key serves the operator and a tenant.
drop index certificates_of_tenant;
create index certificates_of_tenant on certificates (tenant_id, certificate_id);
drop index orders_of_tenant;
create index orders_of_tenant on orders (tenant_id, order_id);
drop index authorizations_of_tenant;
create index authorizations_of_tenant on authorizations (tenant_id, authorization_id);
