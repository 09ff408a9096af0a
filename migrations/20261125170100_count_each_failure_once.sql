-- Its failed validation, or its charged deactivation, stands in the buckets of its name.
alter table authorizations add column counted boolean not null default false;
