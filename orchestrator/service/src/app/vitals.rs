//! What this process is doing at all, and how busy its database connections are.

use std::time::Duration;

use metrics::{describe_gauge, gauge};
use tokio_util::sync::CancellationToken;

use crate::config::Role;
use crate::store::Store;

const ROLE: &str = "lockkeeper_role_running";
const CONNECTIONS: &str = "lockkeeper_database_connections";
const CONNECTIONS_MAX: &str = "lockkeeper_database_connections_max";

const LOOK_EVERY: Duration = Duration::from_secs(5);

/// No role runs yet.
pub(super) fn register() {
    describe_gauge!(
        ROLE,
        "1 while this process plays the role; a worker does from when the CA has been reached."
    );
    describe_gauge!(CONNECTIONS, "Connections of this process to the database, by whether they are in use.");
    describe_gauge!(CONNECTIONS_MAX, "Most connections of this process to the database.");
    for role in [Role::Api, Role::Worker, Role::Responder] {
        runs(role, false);
    }
}

pub(super) fn runs(role: Role, running: bool) {
    let word = match role {
        Role::Api => "api",
        Role::Worker => "worker",
        Role::Responder => "responder",
    };
    gauge!(ROLE, "role" => word).set(f64::from(u8::from(running)));
}

/// Looks at the connections until the service stops.
pub(super) async fn watch_connections(store: Store, stop: CancellationToken) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        let now = store.connections();
        gauge!(CONNECTIONS, "state" => "in_use").set(now.in_use);
        gauge!(CONNECTIONS, "state" => "idle").set(now.idle);
        gauge!(CONNECTIONS_MAX).set(now.max);
    }
}
