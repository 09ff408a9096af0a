select
    wished.nr as "nr!",
    certificates.certificate_id,
    certificates.names,
    certificates.challenge,
    certificates.labels,
    certificates.given_up_at is not null as "given_up!"
from unnest($1::uuid[], $2::text[]) with ordinality as wished (tenant_id, external_id, nr)
join certificates using (tenant_id, external_id)
where certificates.deleted_at is null
