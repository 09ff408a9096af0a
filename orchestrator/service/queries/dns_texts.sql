-- What our own zone says at the name $2, whose label is $3: what orders want there ($1 is the zone among the providers), and
-- what its owner has written. "exists" tells a name without records from none.
select
    coalesce(array_agg(distinct found.value) filter (where found.value is not null), '{}') as "texts!",
    count(*) > 0 as "exists!"
from (
    select value
    from dns_records
    where provider = $1 and owner = $2 and unwanted_at is null
    union all
    select dns_delegated_texts.value
    from dns_delegations
    left join dns_delegated_texts using (subdomain)
    where dns_delegations.subdomain = $3
) as found
