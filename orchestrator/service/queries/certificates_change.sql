update certificates
set names = string_to_array(wished.names, ','), challenge = wished.challenge, labels = wished.labels
from unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[])
    as wished (certificate_id, names, challenge, labels)
where certificates.certificate_id = wished.certificate_id
