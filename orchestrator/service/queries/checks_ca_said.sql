-- What the CA said of names, many at once. $1 account; $2 hostname, $3 the problem of a failed validation or null, $4 then,
-- $5 whether dns-persist-01 was offered.
insert into hostname_checks as kept (hostname, tenant_id, account_id, ca_problem, ca_problem_at, persist_offered_at)
select
    said.hostname, hostnames.tenant_id, $1, said.problem, case when said.problem is not null then said.at end,
    case when said.persist then said.at end
from unnest($2::text[], $3::jsonb[], $4::timestamptz[], $5::boolean[]) as said (hostname, problem, at, persist)
join hostnames on hostnames.hostname = regexp_replace(said.hostname, '^\*\.', '')
order by said.hostname collate "C"
on conflict (hostname) do update
set ca_problem = coalesce(excluded.ca_problem, kept.ca_problem),
    ca_problem_at = coalesce(excluded.ca_problem_at, kept.ca_problem_at),
    persist_offered_at = coalesce(excluded.persist_offered_at, kept.persist_offered_at)
