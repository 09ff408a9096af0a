//! What Postgres may do to the service: each test has a server of its own, treats it badly in the middle of a run, and
//! holds the CA's books against the service's afterwards.

mod connections;
mod failover;
mod lanes;
mod long_lines;
mod rare_statuses;
mod refusals;
mod responders;
mod restarts;
mod scene;
