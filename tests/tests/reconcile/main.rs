//! Those who look after the ledger: what workers learnt too late, orders that nobody would take up, and a ledger that
//! says something else than the CA. Passes are driven by hand, beside services or without any.

mod campaigns;
mod delivery;
mod drift;
mod expiries;
mod orphans;
mod renewal_world;
mod renewals;
mod rescues;
mod windows;
mod world;
