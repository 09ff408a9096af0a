//! Forms shared by the objects.

use issuance::problem::Problem;
use issuance::time::Timestamp;
use serde::{Deserialize, Deserializer};

use super::super::problem::WireProblem;

/// A closed set of words that other people extend.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
            /// A word this release does not know.
            Other(Box<str>),
        }

        impl $name {
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(text) => text,
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
                Ok(match &*text {
                    $($text => Self::$variant,)+
                    other => Self::Other(other.into()),
                })
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(super) use words;

/// An instant, or nothing where it is no RFC 3339: an object is worth more than its dates.
pub(super) fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let parse =
        |text: &str| time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339);
    Ok(text.and_then(|text| parse(&text).ok()).map(Timestamp::from))
}

/// A problem inside an object. Status 0 where it names none, because no HTTP answer stands behind it.
pub(super) fn problem<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Problem>, D::Error> {
    Ok(Option::<WireProblem>::deserialize(deserializer)?.map(|wire| wire.into_problem(0)))
}
