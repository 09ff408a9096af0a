-- The second fence between tenants: Postgres itself shows a tenant its own rows alone, whatever a statement says.
--
-- What a tenant reads is read as the role lockkeeper_tenant, and what it writes is written as lockkeeper_tenant_writer,
-- for one transaction each, with the tenant's id in the setting lockkeeper.tenant. The engine and the operator are the
-- tables' owner, for whom nothing changes. The writer sees all rows, since what it may write depends on what others have
-- (a name that is taken, a place in line), and can write its own alone.

-- The tenant of this transaction; null, which is nobody, without one.
create function lockkeeper_tenant() returns uuid language sql stable parallel safe as
    $$ select nullif(current_setting('lockkeeper.tenant', true), '')::uuid $$;

-- Puts up the fence around every table that has a tenant, and tells whether it stands: it does not where the two roles
-- do not exist and may not be made. Does nothing where there is nothing to do.
create function raise_tenant_fence() returns boolean language plpgsql as $$
declare
    -- What belongs to a tenant without naming it, and by what.
    owned_by constant jsonb := jsonb_build_object(
        'renewals', 'exists (select from certificates of where of.certificate_id = renewals.certificate_id)',
        'hostname_backoffs', 'exists (select from hostnames of where of.hostname = hostname_backoffs.hostname)'
    );
    -- To become a role takes a right of its own since PostgreSQL 16.
    becoming constant text := case
        when current_setting('server_version_num')::integer >= 160000 then 'set' else 'member' end;
    one record;
    own text;
begin
    -- Replicas that start at the same moment go one after the other.
    perform pg_advisory_xact_lock(hashtextextended('lockkeeper tenant fence', 0));
    foreach own in array array['lockkeeper_tenant', 'lockkeeper_tenant_writer'] loop
        if not exists (select from pg_roles where rolname = own) then
            begin
                execute format('create role %I nologin', own);
            exception
                when insufficient_privilege then return false;
                -- Somebody else was first, from another database of this server.
                when duplicate_object or unique_violation then null;
            end;
        end if;
        if not pg_has_role(current_user, own, becoming) then
            begin
                execute format('grant %I to %I', own, current_user);
            exception
                when insufficient_privilege then return false;
                -- As above: the row of the membership was changed at the same moment.
                when internal_error then null;
            end;
        end if;
    end loop;

    execute format('grant usage on schema %I to lockkeeper_tenant, lockkeeper_tenant_writer', current_schema());
    for one in
        select
            class.oid::regclass as name, class.relname, class.relrowsecurity as fenced,
            exists (
                select from pg_attribute
                where attrelid = class.oid and attname = 'tenant_id' and not attisdropped
            ) as has_tenant,
            has_table_privilege('lockkeeper_tenant_writer', class.oid, 'insert') as granted
        from pg_class class
        where class.relnamespace = current_schema()::regnamespace
            and class.relkind in ('r', 'p')
            and class.relname <> '_sqlx_migrations'
        order by class.relname
    loop
        own := coalesce(
            owned_by ->> one.relname,
            case when one.has_tenant then 'tenant_id = (select lockkeeper_tenant())' end
        );
        if own is not null and not one.fenced then
            execute format('alter table %s enable row level security', one.name);
            execute format(
                'create policy tenant_reads on %s for select to lockkeeper_tenant using (%s)', one.name, own);
            execute format('create policy tenant_looks on %s for select to lockkeeper_tenant_writer using (true)', one.name);
            if one.has_tenant then
                -- An owner that is not named, as of a row that is for all, is nobody's to write.
                execute format(
                    'create policy tenant_adds on %s for insert to lockkeeper_tenant_writer with check (%s)', one.name, own);
                execute format(
                    'create policy tenant_changes on %s for update to lockkeeper_tenant_writer using (%s)', one.name, own);
                execute format(
                    'create policy tenant_removes on %s for delete to lockkeeper_tenant_writer using (%s)', one.name, own);
            else
                execute format('create policy tenant_writes on %s to lockkeeper_tenant_writer using (true)', one.name);
            end if;
        end if;
        if own is not null and not has_table_privilege('lockkeeper_tenant', one.name, 'select') then
            execute format('grant select on %s to lockkeeper_tenant', one.name);
        end if;
        if not one.granted then
            execute format('grant select, insert, update, delete on %s to lockkeeper_tenant_writer', one.name);
        end if;
    end loop;

    -- What is the same for everybody, and no secret of it.
    grant select (account_id, ca, directory_url, held_until, gate_closed_until, fair_clock) on accounts to lockkeeper_tenant;
    grant select on check_records to lockkeeper_tenant;
    return true;
end $$;

select raise_tenant_fence();

-- Whether it stands, and whoever asks may go behind it. Asked by a process that may not have raised it.
create function tenant_fence_stands() returns boolean language sql stable as $$
    select count(*) = 2 and bool_and(pg_has_role(
        current_user, oid,
        case when current_setting('server_version_num')::integer >= 160000 then 'set' else 'member' end
    ))
    and (select relrowsecurity from pg_class where oid = 'certificates'::regclass)
    from pg_roles
    where rolname in ('lockkeeper_tenant', 'lockkeeper_tenant_writer')
$$;
