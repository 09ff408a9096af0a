-- $1 import, $2 certificates that are gone: the names that this import claimed for them, and that nobody else needs
delete from hostnames
where import_id = $1
    and hostname in (
        select case when name like '*.%' then substr(name, 3) else name end
        from import_items
        cross join lateral unnest(names) as name
        where import_items.import_id = $1 and import_items.certificate_id = any($2)
            and import_items.line > $3 and import_items.line <= $4
    )
    and not exists (
        select from certificates
        where certificates.names && array[hostnames.hostname, '*.' || hostnames.hostname]
            and certificates.deleted_at is null
    )
