-- Which certificates have one of some names, or some labels: their ids alone. Behind the fence, the index of an array or of
-- jsonb cannot be used by the statement itself, since their operators might tell of rows that are not to be seen (they are
-- not leakproof): it would read all of a tenant's certificates instead. So ids are found before the fence, and whoever
-- joins them sees those of its own rows.
create function certificates_named(wanted text[]) returns setof uuid
    language sql stable security definer set search_path from current rows 2 as
    $$ select certificate_id from certificates where names && wanted $$;

create function certificates_labelled(wanted jsonb, of_tenant uuid) returns setof uuid
    language sql stable security definer set search_path from current rows 100 as
    $$ select certificate_id from certificates
       where labels @> wanted and (of_tenant is null or tenant_id = of_tenant) $$;
