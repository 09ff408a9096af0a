-- When the bucket is full again by what the CA last said of it. A token that is given back never undoes that: the CA had
-- given it back before it spoke.
alter table buckets add column told_full_at timestamptz;
