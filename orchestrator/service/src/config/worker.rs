use std::collections::BTreeSet;
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use serde::Deserialize;

/// `[worker]`: what this process does, and how much of it at once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerConfig {
    /// Orders advanced at once by this process.
    pub permits: NonZeroU16,
    /// How long an order stays with a worker that has died.
    pub lease_seconds: NonZeroU32,
    /// How long steps under way may take to finish once the service was asked to stop.
    pub drain_seconds: u32,
    /// How often the database is asked for due orders when no notice came.
    pub poll_interval_ms: NonZeroU32,
    pub roles: Roles,
}

impl WorkerConfig {
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds.get().into())
    }

    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds.into())
    }

    pub fn poll_interval(&self) -> Duration {
        Duration::from_millis(self.poll_interval_ms.get().into())
    }
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            permits: const { NonZeroU16::new(16).unwrap() },
            lease_seconds: const { NonZeroU32::new(120).unwrap() },
            drain_seconds: 45,
            poll_interval_ms: const { NonZeroU32::new(1_000).unwrap() },
            roles: Roles::default(),
        }
    }
}

/// One of the things a process can do. State is in the database, so any mix works on any number of machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Serves the REST API.
    Api,
    /// Advances orders and keeps house.
    Worker,
    /// Answers HTTP-01 challenges.
    Responder,
}

/// At least one role.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<Role>")]
pub struct Roles(BTreeSet<Role>);

impl Roles {
    pub fn contains(&self, role: Role) -> bool {
        self.0.contains(&role)
    }
}

impl Default for Roles {
    fn default() -> Self {
        Self(BTreeSet::from([Role::Api, Role::Worker, Role::Responder]))
    }
}

impl TryFrom<Vec<Role>> for Roles {
    type Error = RolesError;

    fn try_from(roles: Vec<Role>) -> Result<Self, RolesError> {
        if roles.is_empty() { Err(RolesError) } else { Ok(Self(roles.into_iter().collect())) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a process without a role does nothing: name at least one of api, worker, responder")]
pub struct RolesError;
