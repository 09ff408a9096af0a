-- What checks found, many names at once. $1 account; then column by column: $2 hostname, $3 verdict, $4 fault class,
-- $5 detail, $6 findings, $7 checked at, $8 whether the CA is asked next, $9 and $10 the checks that passed and those that
-- did not, comma-joined. A name that nobody owns is nobody's to know of.
insert into hostname_checks as kept
    (hostname, tenant_id, account_id, verdict, fault_class, fault_detail, findings, checked_at, said_at, said_ready,
     said_not_ready)
select
    found.hostname, hostnames.tenant_id, $1, found.verdict, found.fault_class, found.fault_detail, found.findings,
    found.checked_at, case when found.says then found.checked_at end,
    case when found.says then string_to_array(found.passed, ',') else '{}' end,
    case when found.says then string_to_array(found.alarms, ',') else '{}' end
from unnest(
    $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::timestamptz[], $8::boolean[], $9::text[], $10::text[]
) as found (hostname, verdict, fault_class, fault_detail, findings, checked_at, says, passed, alarms)
-- Who owns a name owns its wildcard.
join hostnames on hostnames.hostname = regexp_replace(found.hostname, '^\*\.', '')
-- Everybody takes these locks in one order.
order by found.hostname collate "C"
on conflict (hostname) do update
set tenant_id = excluded.tenant_id,
    account_id = excluded.account_id,
    verdict = excluded.verdict,
    fault_class = excluded.fault_class,
    fault_detail = excluded.fault_detail,
    findings = excluded.findings,
    checked_at = excluded.checked_at,
    wished_at = case when kept.wished_at > excluded.checked_at then kept.wished_at end,
    said_at = coalesce(excluded.said_at, kept.said_at),
    said_ready = case when excluded.said_at is null then kept.said_ready else excluded.said_ready end,
    said_not_ready = case when excluded.said_at is null then kept.said_not_ready else excluded.said_not_ready end
where kept.checked_at is null or kept.checked_at <= excluded.checked_at
