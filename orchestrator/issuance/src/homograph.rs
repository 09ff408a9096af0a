//! Names that are made to be read as other names (Unicode Technical Standard #39).
//!
//! A CA certifies them like any other, and so do we: scripts are mixed for good reasons too. They are told, so that
//! whoever looks after abuse can look.

use std::fmt;

use unicode_security::{RestrictionLevel, RestrictionLevelDetection as _, skeleton};

use crate::identifier::Hostname;

/// What is odd about a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Suspicion {
    /// A label has letters of several scripts that are not written together.
    MixedScripts { label: Box<str> },
    /// A label of other letters looks like one of ASCII letters.
    LooksLike { label: Box<str>, ascii: Box<str> },
}

impl Suspicion {
    /// The stable word for it, as the API writes it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MixedScripts { .. } => "mixed_scripts",
            Self::LooksLike { .. } => "looks_like",
        }
    }
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MixedScripts { label } => {
                write!(
                    f,
                    "{label} mixes scripts that are not written together: it may be meant to be read as another name"
                )
            }
            Self::LooksLike { label, ascii } => {
                write!(f, "{label} looks like {ascii}, and is another name")
            }
        }
    }
}

/// What is odd about each of its labels. Labels are told as they are in DNS.
pub fn suspicions(hostname: &Hostname) -> Vec<Suspicion> {
    let mut found = Vec::new();
    for label in hostname.validation_target().split('.').filter(|label| label.starts_with("xn--")) {
        let (unicode, read) = idna::domain_to_unicode(label);
        if read.is_err() || unicode.is_ascii() {
            continue;
        }
        if unicode.detect_restriction_level() > RestrictionLevel::ModeratelyRestrictive {
            found.push(Suspicion::MixedScripts { label: label.into() });
        }
        // Accents are no disguise: without them the label would be its own skeleton.
        let shape: String = skeleton(&unicode).collect();
        if shape.is_ascii() {
            found.push(Suspicion::LooksLike { label: label.into(), ascii: shape.into() });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(name: &str) -> Vec<&'static str> {
        suspicions(&Hostname::parse(name).expect(name)).iter().map(Suspicion::code).collect()
    }

    #[test]
    fn a_name_in_disguise_is_told() {
        // The first letter is Cyrillic; then all of them are.
        assert_eq!(codes("\u{430}pple.com"), ["mixed_scripts", "looks_like"]);
        assert_eq!(codes("\u{430}\u{440}\u{440}\u{4cf}\u{435}.com"), ["looks_like"]);
        let told = suspicions(&Hostname::parse("www.\u{430}pple.com").expect("a name"));
        assert!(told.iter().any(|one| one.to_string().contains("looks like apple")), "{told:?}");
    }

    #[test]
    fn an_honest_one_is_not() {
        for name in [
            "www.b\u{fc}cher.de",
            "example.com",
            "\u{43f}\u{440}\u{438}\u{43c}\u{435}\u{440}.com",
            "*.shop.example.co.uk",
        ] {
            assert_eq!(codes(name), Vec::<&str>::new(), "{name}");
        }
        // Japanese is written in three scripts, and with Latin letters.
        assert_eq!(codes("\u{30b5}\u{30a4}\u{30c8}\u{306e}\u{65e5}\u{672c}abc.jp"), Vec::<&str>::new());
    }
}
