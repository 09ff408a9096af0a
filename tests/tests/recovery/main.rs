//! What a new process makes of each state that a dead one can leave behind, and what becomes of an order on the CA's
//! worst days. `ARCHITECTURE.md` names the test of each row of its tables.
//!
//! A death is a request that never returns, or a commit that the database refuses, and a service that is stopped at
//! that point: for whoever loads the order afterwards it is the same as `kill -9`.

mod cancels;
mod charges;
mod commits;
mod crashes;
mod doubt;
mod expiry;
mod lives;
mod outages;
mod settling;
mod wishes;
