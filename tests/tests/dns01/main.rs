//! Names that are proven by TXT records: at real name servers, in our own zone, through the rehearsal CA, which looks.

mod acme_dns;
mod bind;
mod crashes;
mod own_zone;
mod persist;
mod power_dns;
mod scene;
mod settling;
