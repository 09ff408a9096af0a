-- How the names of an order are proven: chosen with its certificate, and kept for the order's life.
alter table orders add column challenge text not null default 'http-01';
update orders set challenge = certificates.challenge
from certificates
where certificates.certificate_id = orders.certificate_id and certificates.challenge <> 'http-01';
alter table orders add constraint orders_challenge check (challenge in ('http-01', 'dns-01'));
