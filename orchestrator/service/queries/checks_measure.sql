-- Holds what checks said against what the CA said since, of up to $2 authorizations of account $1: each is counted once.
-- What was said after the challenge had been posted was no prediction.
with due as (
    select authorization_id, case when wildcard then '*.' || identifier else identifier end as hostname, status, submitted_at
    from authorizations
    where account_id = $1 and submitted_at is not null and final_at is not null and not measured
    order by final_at
    limit $2
    for update skip locked
),
marked as (
    update authorizations set measured = true from due where authorizations.authorization_id = due.authorization_id
),
said as (
    select check_name, status = 'valid' as valid, true as ready
    from due
    join hostname_checks using (hostname)
    cross join unnest(said_ready) as check_name
    where status in ('valid', 'invalid') and said_at <= submitted_at
    union all
    select check_name, status = 'valid', false
    from due
    join hostname_checks using (hostname)
    cross join unnest(said_not_ready) as check_name
    where status in ('valid', 'invalid') and said_at <= submitted_at
),
counted as (
    insert into check_records as kept
        (ca, check_name, ready_valid, ready_invalid, not_ready_valid, not_ready_invalid, since_valid, since_invalid)
    select
        (select ca from accounts where account_id = $1), check_name,
        count(*) filter (where ready and valid), count(*) filter (where ready and not valid),
        count(*) filter (where not ready and valid), count(*) filter (where not ready and not valid),
        count(*) filter (where not ready and valid), count(*) filter (where not ready and not valid)
    from said
    group by check_name
    order by check_name
    on conflict (ca, check_name) do update
    set ready_valid = kept.ready_valid + excluded.ready_valid,
        ready_invalid = kept.ready_invalid + excluded.ready_invalid,
        not_ready_valid = kept.not_ready_valid + excluded.not_ready_valid,
        not_ready_invalid = kept.not_ready_invalid + excluded.not_ready_invalid,
        since_valid = kept.since_valid + excluded.since_valid,
        since_invalid = kept.since_invalid + excluded.since_invalid
)
select count(*) as "measured!" from due
