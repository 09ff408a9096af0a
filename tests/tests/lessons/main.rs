//! What the CA's answers teach: one refusal for a limit and then none, on all replicas; nobody waits who is not meant.

mod limits;
mod pauses;
mod rows;
mod settlings;
mod world;
