-- $1 account, $2 hostnames, $3 now. A deactivation that was answered otherwise (it had ended before) cost nothing.
-- What the CA itself says of a name (a limit of its own) counts as well.
select hostname as "hostname!", max(at) as "at!"
from (
    select identifier as hostname, coalesce(final_at, $3) as at
    from authorizations
    where account_id = $1
        and identifier = any($2)
        and (status = 'invalid' or deactivate_intended_at is not null)
        and status in ('pending', 'invalid', 'deactivated')
    union all
    select hostname, failed_at
    from hostname_backoffs
    where account_id = $1 and hostname = any($2) and at_ca
) as charged
group by hostname
