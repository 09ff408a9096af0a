-- By lane: how many new orders went to lanes before it since one of its own did. Kept with the account, so that the gate
-- goes by the same turns on every replica.
alter table accounts add column passed_over integer[] not null default '{0,0,0,0}'
    constraint accounts_passed_over check (cardinality(passed_over) = 4);
