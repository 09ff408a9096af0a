-- A CA names the certificates that it will revoke by their serials, and whoever has lost a key, by that.
create index issued_certificates_by_serial on issued_certificates (serial);
create index issued_certificates_by_key on issued_certificates (spki_sha256);
