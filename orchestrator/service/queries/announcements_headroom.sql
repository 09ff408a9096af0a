-- Of account $1, limit $2 has come from $3 to $4: it is told once, as $5 with $6, at $7.
with news as (
    insert into headroom_told (account_id, limit_name, told_as, told_at)
    select $1, $2, $4, $7
    where $3 = 'ample' or exists (select from headroom_told where account_id = $1 and limit_name = $2)
    on conflict (account_id, limit_name) do update
    set told_as = excluded.told_as, told_at = excluded.told_at
    where headroom_told.told_as = $3
    returning limit_name
)
insert into events (event_id, kind, subject, data, happened_at)
select uuid_at($7), $5, limit_name, $6, $7
from news
