//! Ids that say what they name: a prefix and a UUID in Crockford's base 32, as in `ord_01kqv2…`.
//!
//! Inside they are UUIDs (version 7, so they sort by age and stay dense in an index); the text form is
//! what the API, the CLI and the logs show. No id of one kind can be passed where another is meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Crockford's base 32, lower case: no `i`, `l`, `o`, `u`.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// 128 bits in groups of five.
const ENCODED_CHARS: usize = 26;

/// A text that is no id of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid id: expected {prefix}_ and 26 letters or digits")]
pub struct IdError {
    prefix: &'static str,
    text: Box<str>,
}

fn encode(uuid: Uuid) -> String {
    let bits = uuid.as_u128();
    (0..ENCODED_CHARS)
        .map(|place| {
            let shift = 5 * (ENCODED_CHARS - 1 - place);
            char::from(ALPHABET[(bits >> shift) as usize & 31])
        })
        .collect()
}

fn decode(text: &str) -> Option<Uuid> {
    if text.len() != ENCODED_CHARS || text.as_bytes()[0] > b'7' {
        return None;
    }
    text.bytes()
        .try_fold(0_u128, |bits, byte| {
            let digit = ALPHABET.iter().position(|&letter| letter == byte.to_ascii_lowercase())?;
            Some((bits << 5) | digit as u128)
        })
        .map(Uuid::from_u128)
}

/// As the API's description has it.
fn schema(pattern: &str) -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
    utoipa::openapi::ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::Type::String)
        .pattern(Some(pattern))
        .into()
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl $name {
            pub const PREFIX: &'static str = $prefix;
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(decode)
                    .map(Self)
                    .ok_or_else(|| IdError { prefix: $prefix, text: text.into() })
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                schema(concat!("^", $prefix, "_[0-7][0-9a-hjkmnp-tv-z]{25}$"))
            }
        }

        impl utoipa::ToSchema for $name {}

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// A customer of the provider.
    TenantId,
    "ten"
);
id!(
    /// An ACME account at one CA.
    AccountId,
    "acc"
);
id!(
    /// The wish: a certificate that a tenant wants to exist and stay valid.
    CertificateId,
    "crt"
);
id!(
    /// The attempt: one order for one set of names.
    OrderId,
    "ord"
);
id!(
    /// One row of the ledger.
    AuthorizationId,
    "azn"
);
id!(
    /// Something at the CA that is in no row of the ledger yet.
    OrphanId,
    "orp"
);
id!(
    /// One bulk import.
    ImportId,
    "imp"
);
id!(
    /// One override of a limit.
    LimitOverrideId,
    "lov"
);
id!(
    /// One event of the outbox.
    EventId,
    "evt"
);
id!(
    /// A key that opens the API.
    ApiKeyId,
    "key"
);
id!(
    /// Somebody who signs in.
    UserId,
    "usr"
);
id!(
    /// One certificate that the CA has signed: what an order brought.
    VersionId,
    "ver"
);
id!(
    /// What one server has of one certificate.
    DeploymentId,
    "dpl"
);
id!(
    /// Somebody who is told of events.
    WebhookId,
    "whk"
);
id!(
    /// One event on its way to one webhook.
    DeliveryId,
    "dlv"
);
id!(
    /// Many certificates that are to be replaced.
    CampaignId,
    "cmp"
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let order = OrderId(Uuid::from_u128(0x0192_f0e1));
        assert_eq!(order.to_string().parse(), Ok(order));
        assert!(order.to_string().parse::<TenantId>().is_err());
        assert!("ord_".parse::<OrderId>().is_err());
        assert!("ord_8zzzzzzzzzzzzzzzzzzzzzzzzz".parse::<OrderId>().is_err(), "more than 128 bits");
    }

    proptest! {
        #[test]
        fn every_uuid_comes_back(bits in any::<u128>()) {
            let id = CertificateId(Uuid::from_u128(bits));
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn text_sorts_as_the_uuid_does(a in any::<u128>(), b in any::<u128>()) {
            let (x, y) = (OrderId(Uuid::from_u128(a)), OrderId(Uuid::from_u128(b)));
            prop_assert_eq!(x.cmp(&y), x.to_string().cmp(&y.to_string()));
        }
    }
}
