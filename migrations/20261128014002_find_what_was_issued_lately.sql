-- Whoever waits for a bundle is woken by what was issued since the last look.
create index issued_certificates_issued_at on issued_certificates (issued_at);
