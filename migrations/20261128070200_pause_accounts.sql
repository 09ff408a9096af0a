-- What an operator says of an account: a word for people, and that nothing new is to be ordered for a while.
alter table accounts
    add column note text not null default '' constraint accounts_note check (char_length(note) <= 1000),
    add column paused_until timestamptz,
    add column version bigint not null default 1,
    add column updated_at timestamptz;
