//! From a file to certificates, against the rehearsal CA: with real services, a real database and a fleet of which
//! much is broken.

mod caa;
mod campaign_writes;
mod doctor;
mod evidence;
mod farm;
mod first_certificate;
mod fleet;
mod held;
mod imports;
mod keys;
mod killed_writes;
mod outages;
mod parts;
mod precision;
mod processes;
mod replicas;
mod web_servers;
mod write_routes;
