//! The name of a record, which may have labels that no hostname has.

use std::fmt;

use sha2::{Digest, Sha256};

/// RFC 1035 §2.3.4, without the dot at the end.
const BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;
/// Of the digest, in hexadecimal: no two names meet by chance.
const DIGEST_BYTES: usize = 20;

/// An absolute name in DNS: lower case, no dot at the end, underscores allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordName(Box<str>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no name of a record: write labels of letters, digits, hyphens and underscores, 253 bytes in all"
)]
pub struct RecordNameError {
    text: Box<str>,
}

impl RecordName {
    pub fn parse(text: &str) -> Result<Self, RecordNameError> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=LABEL_BYTES_MAX).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        if name.len() <= BYTES_MAX && name.split('.').all(is_label) {
            Ok(Self(name.into()))
        } else {
            Err(RecordNameError { text: text.chars().take(300).collect() })
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `zone` itself or lies below it.
    pub fn is_in(&self, zone: &Self) -> bool {
        self.0.strip_suffix(&*zone.0).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    /// The name one label shorter; none of a top-level domain.
    pub fn parent(&self) -> Option<Self> {
        self.0.split_once('.').map(|(_, parent)| Self(parent.into()))
    }

    /// What stands before `zone`, without the dot between.
    pub fn labels_below(&self, zone: &Self) -> Option<&str> {
        let rest = self.0.strip_suffix(&*zone.0)?;
        if rest.is_empty() { Some(rest) } else { rest.strip_suffix('.') }
    }

    /// As DNS messages have it.
    pub(super) fn to_dns(&self) -> hickory_proto::rr::Name {
        let mut name =
            hickory_proto::rr::Name::from_ascii(&self.0).unwrap_or_else(|_| hickory_proto::rr::Name::root());
        name.set_fqdn(true);
        name
    }

    pub(super) fn from_dns(name: &hickory_proto::rr::Name) -> Result<Self, RecordNameError> {
        Self::parse(&name.to_ascii())
    }
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RecordName {
    type Error = RecordNameError;

    fn try_from(text: String) -> Result<Self, RecordNameError> {
        Self::parse(&text)
    }
}

/// The label in our own zone that a name's alias is to lead to. It follows from the name, so that whoever owns the name
/// can be told the record before anything is ordered, and no two names share one.
pub fn label_of(name: &RecordName) -> String {
    let digest = Sha256::digest(name.as_str());
    digest.iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RecordName {
        RecordName::parse(text).expect(text)
    }

    #[test]
    fn names_are_parsed_or_refused() {
        assert_eq!(name("_Acme-Challenge.Shop.COM.").as_str(), "_acme-challenge.shop.com");
        assert_eq!(name("com").parent(), None);
        assert_eq!(name("a.b.com").parent(), Some(name("b.com")));
        for bad in [
            "",
            ".",
            "a..b",
            "a b.com",
            "*.shop.com",
            "a.com/..",
            "\u{e4}.com",
            &"a".repeat(64),
            &"a.".repeat(200),
        ] {
            assert!(RecordName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_zone_holds_whole_labels() {
        let zone = name("acme.host.net");
        assert!(zone.is_in(&zone) && name("x.acme.host.net").is_in(&zone));
        assert!(!name("xacme.host.net").is_in(&zone) && !name("host.net").is_in(&zone));
        assert_eq!(name("a.b.acme.host.net").labels_below(&zone), Some("a.b"));
        assert_eq!(zone.labels_below(&zone), Some(""));
        assert_eq!(name("xacme.host.net").labels_below(&zone), None);
    }

    #[test]
    fn a_name_has_one_label_and_no_other_name_has_it() {
        let label = |text: &str| label_of(&RecordName::parse(text).expect(text));
        assert_eq!(label("_acme-challenge.shop.com"), label("_acme-challenge.SHOP.com."));
        assert_ne!(label("_acme-challenge.shop.com"), label("_acme-challenge.www.shop.com"));
        assert_eq!(label("_acme-challenge.shop.com").len(), 40);
        assert!(RecordName::parse(&label("_acme-challenge.shop.com")).is_ok());
    }
}
