-- A tenant that was removed. The row stays for what refers to it: orders that were, and the audit. What it was called is
-- free for another one.
alter table tenants add column deleted_at timestamptz;
