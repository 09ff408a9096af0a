-- Puts what is meant to be executed into every column of text, lists and JSON that takes it, row by row: what the checks of
-- the schema refuse stays as it was. Not touched is what the service itself makes sense of when it reads a row, where
-- nobody else can write. `hostile_columns` tells where it stands.

alter table events disable trigger user;

create table hostile_columns (name text not null, rows integer not null);

-- As short as the columns are: an element, a script, the end of an attribute, a template, and text that runs the other way.
create function payload() returns text language sql immutable as $$
    select $p$"'><img src=x onerror=stung=1><script>stung=1</script><svg/onload=stung=1>{{stung=1}}$p$ || U&'\202E' || 'moc.live'
$$;

-- Every string of a document but words of a closed set, instants and ids.
create function harmed(document jsonb) returns jsonb language plpgsql immutable as $$
begin
    return case jsonb_typeof(document)
        when 'object' then (select coalesce(jsonb_object_agg(key, harmed(value)), '{}') from jsonb_each(document))
        when 'array' then (select coalesce(jsonb_agg(harmed(value)), '[]') from jsonb_array_elements(document))
        when 'string' then case
            when document #>> '{}' ~ '^[a-z0-9_]*$|^\d{4}-\d\d-\d\dT|^[0-9a-fA-F.:-]+$' then document
            else to_jsonb(payload()) end
        else document end;
end $$;

do $$
declare
    column_of record;
    row_of record;
    written integer;
begin
    for column_of in
        select columns.table_name, columns.column_name, columns.udt_name
        from information_schema.columns
        join information_schema.tables using (table_schema, table_name)
        where table_schema = 'public' and table_type = 'BASE TABLE' and is_generated = 'NEVER'
            and udt_name in ('text', '_text', 'jsonb')
            and table_name not in ('_sqlx_migrations', 'hostile_columns')
            and columns.table_name || '.' || columns.column_name not in (
                -- By these one row finds another.
                'accounts.ca', 'buckets.ca', 'buckets.key', 'limit_reservations.ca', 'limit_reservations.key', 'limit_overrides.ca', 'limit_overrides.limit_name',
                'issued_sets.ca', 'issued_sets.set_key', 'check_records.ca', 'check_records.check_name', 'check_overrides.check_name',
                'tenants.slug',
                -- By these people sign in.
                'users.name', 'users.password',
                -- Words of closed sets that no check of the schema lists.
                'orders.fault_class', 'orders.deferred_as', 'authorizations.fault_class', 'hostname_backoffs.fault_class',
                'hostname_backoffs.told_class', 'hostname_checks.fault_class', 'headroom_told.limit_name', 'api_keys.scopes',
                'hostname_checks.said_ready', 'hostname_checks.said_not_ready', 'import_faults.code', 'events.kind',
                'api_keys.cidrs', 'dns_delegations.allow_from', 'order_problems.step')
        order by 1, 2
    loop
        written := 0;
        -- One name stays what it is, or it would have no page.
        for row_of in execute format(
            'select ctid from %I where %I::text is distinct from %L', column_of.table_name, column_of.column_name, 'moved-away.com')
        loop
            begin
                execute format(
                    'update %I set %I = %s where ctid = %L',
                    column_of.table_name, column_of.column_name,
                    case
                        when column_of.udt_name = '_text' then format('array[payload() || %L]', row_of.ctid)
                        when column_of.udt_name = 'jsonb' and column_of.column_name like '%labels%'
                            then 'jsonb_build_object(payload(), payload())'
                        when column_of.udt_name = 'jsonb' then format('harmed(%I)', column_of.column_name)
                        when column_of.column_name like '%url%' then format('%L || payload() || %L', 'javascript:stung=1//', row_of.ctid)
                        else format('payload() || %L', row_of.ctid)
                    end,
                    row_of.ctid);
                written := written + 1;
            exception when others then null;
            end;
        end loop;
        insert into hostile_columns values (column_of.table_name || '.' || column_of.column_name, written);
    end loop;
end $$;

alter table events enable trigger user;

insert into users (user_id, name, role, password, created_at, created_by)
select gen_random_uuid(), payload(), role, password, created_at, payload() from users limit 1;
