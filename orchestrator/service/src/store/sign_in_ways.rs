//! The ways to sign in: those that somebody may go, and the one that was gone.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How somebody may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignInBy {
    Password,
    /// At the provider of identities that is configured.
    Oidc,
    Both,
}

impl SignInBy {
    pub const ALL: [Self; 3] = [Self::Password, Self::Oidc, Self::Both];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Oidc => "oidc",
            Self::Both => "both",
        }
    }

    pub fn password(self) -> bool {
        self != Self::Oidc
    }

    pub fn oidc(self) -> bool {
        self != Self::Password
    }

    pub(super) fn of(password: bool, oidc: bool) -> Self {
        match (password, oidc) {
            (true, true) => Self::Both,
            (false, true) => Self::Oidc,
            (_, false) => Self::Password,
        }
    }
}

impl fmt::Display for SignInBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How somebody has shown who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedInBy {
    Password,
    Oidc,
}

impl SignedInBy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Oidc => "oidc",
        }
    }
}
