use std::num::NonZeroU32;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// `[database]`: where everything is kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// Absent: the service runs a private cluster in its data folder.
    pub url: Option<DatabaseUrl>,
    /// Most connections of this process.
    pub connections: NonZeroU32,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self { url: None, connections: const { NonZeroU32::new(24).unwrap() } }
    }
}

/// A `postgres://` URL. It may hold a password, so it is never printed.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct DatabaseUrl(SecretString);

impl DatabaseUrl {
    pub fn parse(url: &str) -> Result<Self, DatabaseUrlError> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Ok(Self(SecretString::from(url)))
        } else {
            Err(DatabaseUrlError)
        }
    }

    /// For the store alone.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl TryFrom<String> for DatabaseUrl {
    type Error = DatabaseUrlError;

    fn try_from(url: String) -> Result<Self, DatabaseUrlError> {
        Self::parse(&url)
    }
}

impl PartialEq for DatabaseUrl {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for DatabaseUrl {}

/// Not a Postgres URL. What was written instead is not repeated: it may be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write postgres://user:password@host/database")]
pub struct DatabaseUrlError;
