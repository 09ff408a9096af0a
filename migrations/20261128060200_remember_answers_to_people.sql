-- People send requests under a name as well, from the pages' forms: who asks need not be a key.
alter table idempotent_answers drop constraint idempotent_answers_key_id_fkey;
