use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::time::Duration;

use issuance::propagation::Pace;
use serde::Deserialize;

/// So many times as far apart are the two looks where some servers could not be asked: they may be behind.
const ROUNDS_APART_INCOMPLETE: u32 = 3;

/// `[dns01]`: proof by TXT records (RFC 8555 §8.4).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dns01Config {
    /// Two looks that show a record on all servers must be at least this far apart before a CA is asked to look.
    pub rounds_apart_seconds: u32,
    /// How long a record may take to be on all servers before the order gives way.
    pub propagation_timeout_seconds: NonZeroU32,
    /// Who writes the records of which zones.
    pub provider: Vec<Dns01Provider>,
}

impl Dns01Config {
    /// How a record is watched.
    pub fn pace(&self) -> Pace {
        let gap = Duration::from_secs(self.rounds_apart_seconds.into());
        Pace {
            gap,
            gap_incomplete: gap * ROUNDS_APART_INCOMPLETE,
            total: Duration::from_secs(self.propagation_timeout_seconds.get().into()),
            ..Pace::default()
        }
    }
}

impl Default for Dns01Config {
    fn default() -> Self {
        Self {
            rounds_apart_seconds: 5,
            propagation_timeout_seconds: const { NonZeroU32::new(600).unwrap() },
            provider: Vec::new(),
        }
    }
}

/// `[[dns01.provider]]`: one of them. Which keys it needs beside the first ones depends on its type.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dns01Provider {
    /// The word it goes by in logs, metrics and the database.
    pub name: String,
    /// `rfc2136`, `exec`, `powerdns`, `route53`, or one of those that want a token only.
    #[serde(rename = "type")]
    pub kind: String,
    /// The zones it serves; of two that hold a name, the longer one counts.
    pub zones: Vec<String>,
    /// Only for names of these tenants. Empty: of all.
    #[serde(default)]
    pub tenants: Vec<String>,
    /// Writes under way at once, in one process.
    #[serde(default = "one")]
    pub concurrent_max: NonZeroU16,
    /// Writes begun in a second, in one process. Absent: as many as come.
    pub requests_per_second: Option<NonZeroU32>,
    /// How long one write may take.
    #[serde(default = "Dns01Provider::timeout_ms_default")]
    pub timeout_ms: NonZeroU32,
    /// Of the records it writes.
    #[serde(default = "Dns01Provider::ttl_seconds_default")]
    pub ttl_seconds: u32,
    /// A file with the key or token; or the name of a variable that holds it.
    pub secret_file: Option<PathBuf>,
    pub secret_env: Option<String>,
    /// `rfc2136`: the primary server, and what its key is called.
    pub server: Option<SocketAddr>,
    pub key_name: Option<String>,
    pub key_algorithm: Option<String>,
    /// `exec`: what is called, and the file with the variables that it sees.
    pub program: Option<PathBuf>,
    pub environment_file: Option<PathBuf>,
    /// `powerdns`: where its API is, and what it calls the server there.
    pub endpoint: Option<String>,
    pub server_id: Option<String>,
    /// `route53`.
    pub access_key_id: Option<String>,
    pub hosted_zone_id: Option<String>,
    pub region: Option<String>,
}

fn one() -> NonZeroU16 {
    NonZeroU16::MIN
}

impl Dns01Provider {
    const fn timeout_ms_default() -> NonZeroU32 {
        const { NonZeroU32::new(15_000).unwrap() }
    }

    const fn ttl_seconds_default() -> u32 {
        60
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.get().into())
    }
}
