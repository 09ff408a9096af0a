//! Who writes records: one provider of DNS, whatever it speaks.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::record_name::RecordName;

/// What is to change among the TXT records of one name. Other values that stand there are nobody's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub owner: RecordName,
    pub add: Vec<String>,
    pub remove: Vec<String>,
}

/// Writes TXT records at one provider. Writing what is there already, and removing what is not there, succeeds: whoever
/// died in between does it again.
pub trait Presenter: fmt::Debug + Send + Sync {
    /// Names of one write. More than one where it costs no more than one.
    fn names_max(&self) -> usize {
        1
    }

    /// Makes all the changes, of names in one zone. The caller is the only writer at each of the names.
    fn write<'a>(
        &'a self,
        zone: &'a RecordName,
        changes: &'a [Change],
    ) -> BoxFuture<'a, Result<(), PresentError>>;
}

/// Why records were not written, or perhaps were not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PresentError {
    #[error("the provider refuses: {detail}")]
    Refused { detail: Box<str> },
    #[error("the provider cannot be reached: {detail}")]
    Unreachable { detail: Box<str> },
    /// Nothing was asked of it: there are enough that wait for their turn.
    #[error("too many writes wait for their turn at the provider")]
    Busy,
    #[error("no answer within {within:?}")]
    Timeout { within: Duration },
}

/// Longest detail kept of a provider's words.
const DETAIL_CHARACTERS_MAX: usize = 300;

impl PresentError {
    pub(super) fn refused(detail: impl fmt::Display) -> Self {
        Self::Refused { detail: shortened(&detail) }
    }

    pub(super) fn unreachable(detail: impl fmt::Display) -> Self {
        Self::Unreachable { detail: shortened(&detail) }
    }

    /// The `outcome` of metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::Unreachable { .. } => "unreachable",
            Self::Busy => "busy",
            Self::Timeout { .. } => "timeout",
        }
    }
}

/// One line, of a length that can be logged and stored.
fn shortened(detail: &dyn fmt::Display) -> Box<str> {
    let line = |c: char| if c.is_control() { ' ' } else { c };
    detail.to_string().trim().chars().map(line).take(DETAIL_CHARACTERS_MAX).collect()
}
