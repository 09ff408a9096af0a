-- What there is of records, and since when the oldest that is to go has been.
select
    count(*) filter (where unwanted_at is null and published_at is null) as "wanted!",
    count(*) filter (where unwanted_at is null and published_at is not null) as "published!",
    count(*) filter (where unwanted_at is not null) as "unwanted!",
    min(unwanted_at) as oldest_unwanted_at
from dns_records
