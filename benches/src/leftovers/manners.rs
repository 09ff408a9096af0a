//! How CAs differ in what running again can mend.

use rehearsal::rules::{CaRules, UnknownPreset};

/// The rules of the CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manners {
    /// As Let's Encrypt: whoever asks for the same names again, under the same account, gets the pending order again.
    Boulder,
    /// As Pebble, and as RFC 8555 has it: each new-order makes an order.
    Plain,
}

impl Manners {
    pub const ALL: [Self; 2] = [Self::Boulder, Self::Plain];

    /// In the JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Boulder => "boulder",
            Self::Plain => "plain",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Boulder => "… and run again, at a CA that hands out pending orders again",
            Self::Plain => "… and run again, at a CA that does not",
        }
    }

    pub(crate) fn rules(self) -> Result<CaRules, UnknownPreset> {
        // Bad nonces are another subject.
        let rules = CaRules::preset(match self {
            Self::Boulder => "rehearsal",
            Self::Plain => "pebble-like",
        })?;
        Ok(CaRules { nonce_rejection: 0.0, ..rules })
    }

    /// The service's CA profile that says so.
    pub(crate) fn profile(self) -> &'static str {
        match self {
            Self::Boulder => "rehearsal",
            Self::Plain => "pebble",
        }
    }
}
