use serde::Deserialize;

use super::wire::words;

words! {
    /// RFC 8555 §7.1.6.
    AccountStatus {
        Valid => "valid",
        Deactivated => "deactivated",
        Revoked => "revoked",
    }
}

/// An account at the CA (RFC 8555 §7.1.2).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AccountObject {
    pub status: AccountStatus,
    #[serde(default)]
    pub contact: Vec<Box<str>>,
    /// Where its orders are listed. Boulder has no such list.
    #[serde(default)]
    pub orders: Option<Box<str>>,
}
