-- What a server shows to whoever asks for a name: valid now, for the very name rather than for a wildcard, the one that is
-- valid longest. $1 tenant or null, $2 labels that it has, $3 now, $4 the name, $5 the wildcard above it or null
select
    found.certificate_id, found.order_id, found.names, found.fingerprint_sha256, found.chain_pem,
    found.key_sealed as "key_sealed?", found.not_before, found.not_after
from certificates
cross join lateral (
    select * from issued_certificates
    where issued_certificates.certificate_id = certificates.certificate_id
    order by issued_certificates.issued_at desc, issued_certificates.order_id desc
    limit 1
) as found
where ($1::uuid is null or certificates.tenant_id = $1)
    and certificates.deleted_at is null
    and certificates.labels @> $2
    and certificates.certificate_id in (select * from certificates_named(array[$4, $5]))
    and (found.names @> array[$4] or found.names @> array[$5])
    and found.not_before <= $3 and found.not_after > $3
-- One whose name has another owner by now comes last: until that owner has his own, it is better than none.
order by certificates.given_up_at is not null, found.names @> array[$4] desc, found.not_after desc
limit 1
