//! Identifiers, parsed at the door: a [`Hostname`] exists only if it is a good one.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest as _, Sha256};

/// RFC 1035 §2.3.4, without the trailing root dot.
pub const HOSTNAME_BYTES_MAX: usize = 253;
/// RFC 1035 §2.3.4.
pub const LABEL_BYTES_MAX: usize = 63;
/// What Boulder's policy accepts; more labels than this are refused there as `rejectedIdentifier`.
pub const LABELS_MAX: usize = 10;
/// Let's Encrypt's `classic` profile, the most generous one in use.
pub const NAMES_MAX: usize = 100;

/// Top-level names that no public CA may certify (RFC 6761, RFC 6762, RFC 7686, RFC 9476).
const SPECIAL_USE: &[&str] =
    &["alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion", "test"];

/// A DNS identifier (RFC 8555 §7.1.4): lower-case A-labels, at most one leading wildcard.
///
/// Its text is canonical, so two spellings of one name are equal. It is never a public suffix, an address
/// or a special-use name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Hostname(Box<str>);

impl Hostname {
    /// Parses what a person or a panel wrote: any case, U-labels or A-labels, one trailing dot allowed.
    pub fn parse(input: &str) -> Result<Self, HostnameError> {
        let trimmed = input.strip_suffix('.').unwrap_or(input);
        if trimmed.is_empty() {
            return Err(HostnameError::Empty);
        }
        if trimmed.trim() != trimmed {
            return Err(HostnameError::Whitespace);
        }
        let (wildcard, base) = match trimmed.strip_prefix("*.") {
            Some(base) => (true, base),
            None => (false, trimmed),
        };
        if base.contains('*') {
            return Err(HostnameError::Wildcard);
        }
        if is_address(base) {
            return Err(HostnameError::Address);
        }
        if base.contains('_') {
            return Err(HostnameError::Underscore);
        }
        let ascii = idna::domain_to_ascii_strict(base).map_err(|_| HostnameError::of_characters(base))?;
        let text = if wildcard { format!("*.{ascii}") } else { ascii.clone() };
        if text.len() > HOSTNAME_BYTES_MAX {
            return Err(HostnameError::TooLong { bytes: text.len() });
        }
        let labels = ascii.split('.').count();
        if labels < 2 {
            return Err(HostnameError::OneLabel);
        }
        if labels > LABELS_MAX {
            return Err(HostnameError::TooManyLabels { labels });
        }
        check_suffix(&ascii)?;
        Ok(Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// The name the CA will look up: the wildcard is not part of it (RFC 8555 §8.4).
    pub fn validation_target(&self) -> &str {
        self.0.strip_prefix("*.").unwrap_or(&self.0)
    }

    /// The public suffix plus one label: the unit of most CA limits. An estimate of the CA's answer, since
    /// its copy of the public suffix list may be older or newer than ours.
    pub fn registered_domain(&self) -> &str {
        let target = self.validation_target();
        psl::domain_str(target).unwrap_or(target)
    }
}

/// The name one label below the public suffix that some registry runs: where a zone is expected first when any
/// DNS name, canonical and with underscores or not, is looked for from the top.
///
/// Not [`Hostname::registered_domain`]: that one goes by the providers' suffixes too, below which nothing needs
/// to be delegated. The name itself where it is a suffix.
pub fn delegated_domain(name: &str) -> &str {
    let mut domain = name;
    for (dot, _) in name.rmatch_indices('.') {
        domain = &name[dot + 1..];
        let suffix = psl::suffix(domain.as_bytes());
        let is_suffix =
            suffix.is_some_and(|suffix| suffix == domain && suffix.typ() != Some(psl::Type::Private));
        if !is_suffix {
            return domain;
        }
        domain = name;
    }
    domain
}

fn is_address(text: &str) -> bool {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if bare.parse::<IpAddr>().is_ok() {
        return true;
    }
    // `0x7f.1` and `2130706433` reach an address through most resolvers. A top-level label never starts
    // with a digit, so the last label gives every such spelling away.
    bare.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_digit()))
}

fn check_suffix(ascii: &str) -> Result<(), HostnameError> {
    let last = ascii.rsplit('.').next().unwrap_or(ascii);
    if SPECIAL_USE.contains(&last) {
        return Err(HostnameError::SpecialUse { suffix: last.into() });
    }
    match psl::suffix(ascii.as_bytes()) {
        // Suffixes of the list's private section (a provider's own) are names that CAs certify.
        Some(suffix) if suffix == ascii && suffix.typ() == Some(psl::Type::Icann) => {
            Err(HostnameError::PublicSuffix)
        }
        Some(suffix) if suffix.is_known() => Ok(()),
        _ => Err(HostnameError::UnknownSuffix { suffix: last.into() }),
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Hostname {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Why a name is refused, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostnameError {
    #[error("the name is empty: write a fully qualified name such as www.example.com")]
    Empty,
    #[error("the name has white space around it: remove it")]
    Whitespace,
    #[error("a wildcard stands only as the whole leftmost label, as in *.example.com")]
    Wildcard,
    #[error("this is an IP address: only DNS names are accepted")]
    Address,
    #[error(
        "an underscore is not allowed in a certificate's name (RFC 1123 §2.1): use a hyphen or drop the label"
    )]
    Underscore,
    #[error("the name holds characters no hostname may have: use letters, digits, hyphens and dots")]
    Characters,
    #[error("a label is empty, longer than 63 bytes, or begins or ends with a hyphen")]
    Label,
    #[error("the name is {bytes} bytes long, the most is 253")]
    TooLong { bytes: usize },
    #[error("the name has one label only: write it fully qualified, as in www.example.com")]
    OneLabel,
    #[error("the name has {labels} labels, CAs accept 10 at the most")]
    TooManyLabels { labels: usize },
    #[error("this is a public suffix, not a registered domain: add a label in front of it")]
    PublicSuffix,
    #[error(".{suffix} is reserved for special use: no public CA certifies it")]
    SpecialUse { suffix: Box<str> },
    #[error(".{suffix} is not a known top-level domain: check the spelling")]
    UnknownSuffix { suffix: Box<str> },
}

impl HostnameError {
    fn of_characters(base: &str) -> Self {
        let bad_label = |label: &str| {
            label.is_empty()
                || label.len() > LABEL_BYTES_MAX
                || label.starts_with('-')
                || label.ends_with('-')
        };
        if base.is_ascii() && base.len() > HOSTNAME_BYTES_MAX {
            return Self::TooLong { bytes: base.len() };
        }
        if base.split('.').any(bad_label) { Self::Label } else { Self::Characters }
    }

    /// The stable word for this reason, as import reports and the API write it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty_name",
            Self::Whitespace => "white_space",
            Self::Wildcard => "misplaced_wildcard",
            Self::Address => "ip_address",
            Self::Underscore => "underscore",
            Self::Characters => "bad_characters",
            Self::Label => "bad_label",
            Self::TooLong { .. } => "too_long",
            Self::OneLabel => "one_label",
            Self::TooManyLabels { .. } => "too_many_labels",
            Self::PublicSuffix => "public_suffix",
            Self::SpecialUse { .. } => "special_use",
            Self::UnknownSuffix { .. } => "unknown_suffix",
        }
    }
}

/// The names of one order: sorted, each once, between 1 and [`NAMES_MAX`], none covered by a wildcard
/// beside it (Boulder answers a redundant name with `malformed`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Identifiers(Vec<Hostname>);

impl Identifiers {
    pub fn new(names: impl IntoIterator<Item = Hostname>) -> Result<Self, IdentifiersError> {
        let mut seen = BTreeSet::new();
        for name in names {
            if let Some(name) = seen.replace(name) {
                return Err(IdentifiersError::Duplicate { name });
            }
        }
        let covered = seen.iter().find(|name| {
            let above = name.as_str().split_once('.').map(|(_, rest)| format!("*.{rest}"));
            !name.is_wildcard() && above.is_some_and(|above| seen.contains(&Hostname(above.into())))
        });
        if let Some(name) = covered {
            return Err(IdentifiersError::Redundant { name: name.clone() });
        }
        match seen.len() {
            0 => Err(IdentifiersError::None),
            count if count > NAMES_MAX => Err(IdentifiersError::TooMany { count }),
            _ => Ok(Self(seen.into_iter().collect())),
        }
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Hostname> {
        self.0.iter()
    }

    #[expect(clippy::len_without_is_empty, reason = "a set of identifiers is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn contains(&self, name: &Hostname) -> bool {
        self.0.binary_search(name).is_ok()
    }

    /// The names in canonical order, comma-joined: equal exactly for equal sets. What a CA calls the
    /// "exact set of identifiers".
    pub fn canonical(&self) -> String {
        self.0.iter().map(Hostname::as_str).collect::<Vec<_>>().join(",")
    }

    /// The same in 64 characters: the SHA-256 of [`canonical`](Self::canonical), in lower-case hexadecimal.
    pub fn digest(&self) -> String {
        Sha256::digest(self.canonical()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl<'a> IntoIterator for &'a Identifiers {
    type Item = &'a Hostname;
    type IntoIter = std::slice::Iter<'a, Hostname>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for Identifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical())
    }
}

/// Why a set of names makes no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentifiersError {
    #[error("no name is given: write at least one")]
    None,
    #[error("{name} is listed twice: keep one")]
    Duplicate { name: Hostname },
    #[error("{name} is already covered by the wildcard beside it: remove one of the two")]
    Redundant { name: Hostname },
    #[error("{count} names in one certificate, the most is 100: split them")]
    TooMany { count: usize },
}

impl IdentifiersError {
    /// The stable word for this reason, as import reports and the API write it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::None => "no_names",
            Self::Duplicate { .. } => "duplicate_name",
            Self::Redundant { .. } => "redundant_name",
            Self::TooMany { .. } => "too_many_names",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(input: &str) -> HostnameError {
        Hostname::parse(input).expect_err(input)
    }

    #[test]
    fn spellings_of_one_name_are_one_name() {
        for spelling in ["www.b\u{fc}cher.de", "WWW.B\u{dc}CHER.DE.", "www.xn--bcher-kva.de"] {
            assert_eq!(Hostname::parse(spelling).expect(spelling).as_str(), "www.xn--bcher-kva.de");
        }
    }

    #[test]
    fn each_bad_name_is_refused_for_its_own_reason() {
        assert_eq!(refused(""), HostnameError::Empty);
        assert_eq!(refused("."), HostnameError::Empty);
        assert_eq!(refused(" a.com"), HostnameError::Whitespace);
        assert_eq!(refused("a.*.com"), HostnameError::Wildcard);
        assert_eq!(refused("*a.b.com"), HostnameError::Wildcard);
        for address in ["192.0.2.1", "::1", "[2001:db8::1]", "0x7f.1", "2130706433"] {
            assert_eq!(refused(address), HostnameError::Address, "{address}");
        }
        assert_eq!(refused("my_host.com"), HostnameError::Underscore);
        assert_eq!(refused("a b.com"), HostnameError::Characters);
        assert_eq!(refused("a..com"), HostnameError::Label);
        assert_eq!(refused("-a.com"), HostnameError::Label);
        assert_eq!(refused(&format!("{}.com", "a".repeat(64))), HostnameError::Label);
        assert_eq!(refused("localhost"), HostnameError::OneLabel);
        assert_eq!(refused("a.b.c.d.e.f.g.h.i.j.com"), HostnameError::TooManyLabels { labels: 11 });
        assert_eq!(refused("co.uk"), HostnameError::PublicSuffix);
        assert_eq!(refused("*.co.uk"), HostnameError::PublicSuffix);
        assert!(Hostname::parse("cloudns.nz").is_ok(), "a private suffix is a name like any other");
        assert_eq!(refused("nas.local"), HostnameError::SpecialUse { suffix: "local".into() });
        assert_eq!(refused("site.nosuchtld"), HostnameError::UnknownSuffix { suffix: "nosuchtld".into() });
        let long = format!("{}com", "abcdefghi.".repeat(26));
        assert!(matches!(refused(&long), HostnameError::TooLong { .. }), "{:?}", refused(&long));
    }

    #[test]
    fn a_wildcard_is_looked_up_without_its_star() {
        let name = Hostname::parse("*.shop.example.co.uk").expect("a wildcard");
        assert_eq!(name.validation_target(), "shop.example.co.uk");
        assert_eq!(name.registered_domain(), "example.co.uk");
    }

    #[test]
    fn a_zone_is_expected_below_the_suffix_of_a_registry() {
        for (name, domain) in [
            ("_acme-challenge.www.example.com", "example.com"),
            ("_acme-challenge.shop.example.co.uk", "example.co.uk"),
            ("d420c923.acme.provider.net", "provider.net"),
            ("_acme-challenge.someone.github.io", "github.io"),
            ("example.com", "example.com"),
            ("co.uk", "co.uk"),
            ("com", "com"),
            ("ns1.rack.lab", "rack.lab"),
        ] {
            assert_eq!(delegated_domain(name), domain, "{name}");
        }
    }

    #[test]
    fn a_set_of_names_is_sorted_and_free_of_repeats() {
        let name = |text: &str| Hostname::parse(text).expect(text);
        let set = Identifiers::new([name("www.a.com"), name("a.com")]).expect("two names");
        assert_eq!(set.canonical(), "a.com,www.a.com");
        assert_eq!(
            Identifiers::new([name("a.com"), name("A.com")]),
            Err(IdentifiersError::Duplicate { name: name("a.com") })
        );
        assert_eq!(
            Identifiers::new([name("www.a.com"), name("*.a.com")]),
            Err(IdentifiersError::Redundant { name: name("www.a.com") })
        );
        assert_eq!(Identifiers::new([]), Err(IdentifiersError::None));
        let many = (0..101).map(|i| name(&format!("h{i}.a.com")));
        assert_eq!(Identifiers::new(many), Err(IdentifiersError::TooMany { count: 101 }));
    }

    proptest! {
        /// What was parsed once parses again to itself, and nothing makes the parser fall over.
        #[test]
        fn parsing_is_idempotent(input in "\\PC{0,80}") {
            if let Ok(name) = Hostname::parse(&input) {
                prop_assert_eq!(&Hostname::parse(name.as_str()).expect("canonical text parses"), &name);
                prop_assert!(name.as_str().is_ascii());
            }
        }

        #[test]
        fn ordinary_names_are_accepted(labels in prop::collection::vec("[a-z][a-z0-9]{0,20}", 1..4)) {
            let text = format!("{}.com", labels.join("."));
            let name = Hostname::parse(&text).expect("ordinary");
            prop_assert_eq!(name.as_str(), text.as_str());
        }
    }
}
