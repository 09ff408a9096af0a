//! Whether a domain's owner lets a CA issue (CAA: RFC 8659, RFC 8657).
//!
//! ```text
//! www.shop.example.com ─ Nothing ─▶ shop.example.com ─ Nothing ─▶ example.com ─ Records ─▶ judge
//!                                        └─ Failed: a CA refuses here, whatever stands above
//! ```

use std::fmt;

/// One CAA record, as published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// A CA that does not know the tag must refuse. Set for the low bit too: many publish `1` and mean this, and
    /// CAs read it so.
    pub critical: bool,
    pub tag: Box<str>,
    pub value: Box<str>,
}

/// Who wants to issue, and how.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The names by which the CA recognises itself (RFC 8555 §9.7.6, `caaIdentities`).
    pub identities: &'a [Box<str>],
    /// The account that orders (RFC 8657 §3).
    pub account_url: &'a str,
    /// Challenge types any of which would do, as in `http-01` (RFC 8657 §4).
    pub methods: &'a [&'a str],
    /// The name is a wildcard.
    pub wildcard: bool,
}

/// What was found at one name of the climb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<F> {
    Records(Vec<Property>),
    /// No CAA record, or no such name.
    Nothing,
    /// No answer that says either.
    Failed(F),
}

/// Where the climb ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relevant<'a, F> {
    /// The record set that decides, and the name it was found at.
    Records {
        at: &'a str,
        properties: &'a [Property],
    },
    /// None on the whole way: every CA may issue.
    Nothing,
    Failed {
        at: &'a str,
        fault: &'a F,
    },
}

/// The name, then each name above it, the top-level domain last (RFC 8659 §3).
pub fn climb(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |below| below.split_once('.').map(|(_, above)| above))
}

/// Ends the climb at the first name that has records, or whose look-up failed: what stands above a failure cannot
/// make up for it. `found` is in the order of [`climb`].
pub fn relevant<'a, F>(found: impl IntoIterator<Item = (&'a str, &'a Found<F>)>) -> Relevant<'a, F> {
    for (at, found) in found {
        match found {
            Found::Nothing => {}
            Found::Records(properties) if properties.is_empty() => {}
            Found::Records(properties) => return Relevant::Records { at, properties },
            Found::Failed(fault) => return Relevant::Failed { at, fault },
        }
    }
    Relevant::Nothing
}

/// Why a record set forbids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objection {
    /// A critical property that no CA knows.
    Critical { tag: Box<str> },
    /// `issue` or `issuewild` names others; none, where it forbids everybody.
    Issuer { tag: &'static str, others: Vec<Box<str>> },
    /// The CA is named, for another account.
    Account { tag: &'static str },
    /// The CA is named, for other ways of validation.
    Method { tag: &'static str, allowed: Box<str> },
}

/// Whether the record set lets the asker issue.
pub fn judge(properties: &[Property], question: &Question<'_>) -> Result<(), Objection> {
    let is = |property: &Property, tag: &str| property.tag.eq_ignore_ascii_case(tag);
    let unknown = |property: &&Property| property.critical && !KNOWN.iter().any(|tag| is(property, tag));
    if let Some(property) = properties.iter().find(unknown) {
        return Err(Objection::Critical { tag: property.tag.clone() });
    }
    // For a wildcard `issuewild` replaces `issue` where there is any (RFC 8659 §4.3).
    let is_wild = question.wildcard && properties.iter().any(|property| is(property, ISSUEWILD));
    let tag = if is_wild { ISSUEWILD } else { ISSUE };
    let mut others = Vec::new();
    let mut nearest = None;
    let mut restricts = false;
    for property in properties.iter().filter(|property| is(property, tag)) {
        restricts = true;
        // What is malformed names nobody (RFC 8659 §4.2).
        let Some(value) = IssueValue::parse(&property.value) else { continue };
        let Some(issuer) = value.issuer else { continue };
        if !question.identities.iter().any(|identity| identity.eq_ignore_ascii_case(issuer)) {
            others.push(Box::from(issuer));
        } else if !value.names_account(question.account_url) {
            nearest.get_or_insert(Objection::Account { tag });
        } else if !value.names_any_of(question.methods) {
            let allowed = value.only("validationmethods").unwrap_or_default().into();
            nearest = Some(Objection::Method { tag, allowed });
        } else {
            return Ok(());
        }
    }
    if restricts { Err(nearest.unwrap_or(Objection::Issuer { tag, others })) } else { Ok(()) }
}

/// A CAA record that lets the asker issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// Without the root's dot.
    pub name: Box<str>,
    /// As a zone file has it behind the type.
    pub value: Box<str>,
}

impl Permission {
    /// The one that the text of a finding ends with, if it tells of one.
    pub fn told_in(text: &str) -> Option<Self> {
        let (_, told) = text.rsplit_once(TOLD_BY)?;
        let (name, value) = told.split_once(". CAA ")?;
        Some(Self { name: name.into(), value: value.into() })
    }
}

const TOLD_BY: &str = "publish: ";

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TOLD_BY}{}. CAA {}", self.name, self.value)
    }
}

impl Objection {
    /// The record to add at `at`, in the form of a zone file; or the one to remove.
    pub fn mend(&self, at: &str, question: &Question<'_>) -> String {
        let identity = question.identities.first().map_or("", |identity| identity);
        let (tag, parameter) = match self {
            Self::Critical { tag } => {
                return format!("remove the critical CAA record with the tag {tag:?} at {at}");
            }
            Self::Issuer { tag, .. } => (tag, String::new()),
            Self::Account { tag } => (tag, format!("; accounturi={}", question.account_url)),
            Self::Method { tag, .. } => (tag, format!("; validationmethods={}", question.methods.join(","))),
        };
        let value = format!("0 {tag} \"{identity}{parameter}\"").into();
        Permission { name: at.into(), value }.to_string()
    }
}

/// What is seen, as in "the CAA records of example.com …".
impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Critical { tag } => write!(f, "have a critical property {tag:?} that no CA knows"),
            Self::Issuer { tag, others } if others.is_empty() => write!(f, "let no CA issue ({tag})"),
            Self::Issuer { tag, others } => {
                let told = &others[..others.len().min(OTHERS_TOLD)];
                let more = if others.len() > OTHERS_TOLD { " and others" } else { "" };
                write!(f, "let only {}{more} issue ({tag})", told.join(", "))
            }
            Self::Account { tag } => {
                write!(f, "let another account of this CA issue only ({tag}, accounturi)")
            }
            Self::Method { tag, allowed } => {
                write!(f, "let this CA issue only after {allowed:?} ({tag}, validationmethods)")
            }
        }
    }
}

/// Issuers that are told of; some publish all there are.
const OTHERS_TOLD: usize = 3;
const ISSUE: &str = "issue";
const ISSUEWILD: &str = "issuewild";
/// What Boulder knows; others of the IANA registry are about mail, marks and people.
const KNOWN: [&str; 4] = [ISSUE, ISSUEWILD, "iodef", "issuemail"];

/// A parsed `issue` or `issuewild` value (RFC 8659 §4.2).
pub(crate) struct IssueValue<'a> {
    /// None: nobody.
    pub(crate) issuer: Option<&'a str>,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> IssueValue<'a> {
    pub(crate) fn parse(value: &'a str) -> Option<Self> {
        let (issuer, rest) = value.split_once(';').map_or((value, ""), |(issuer, rest)| (issuer, rest));
        let issuer = trimmed(issuer);
        if !issuer.is_empty() && !issuer.split('.').all(is_label) {
            return None;
        }
        let parameters = match trimmed(rest) {
            "" => Vec::new(),
            rest => rest.split(';').map(parameter).collect::<Option<_>>()?,
        };
        Some(Self { issuer: Some(issuer).filter(|issuer| !issuer.is_empty()), parameters })
    }

    pub(crate) fn has(&self, tag: &str) -> bool {
        self.parameters.iter().any(|(of, _)| of.eq_ignore_ascii_case(tag))
    }

    /// The value of a parameter that stands there exactly once.
    pub(crate) fn only(&self, tag: &str) -> Option<&'a str> {
        let mut values = self.parameters.iter().filter(|(of, _)| of.eq_ignore_ascii_case(tag));
        let (_, value) = values.next()?;
        values.next().is_none().then_some(*value)
    }

    /// Two accounts cannot both be the one (RFC 8657 §3).
    fn names_account(&self, url: &str) -> bool {
        !self.has("accounturi") || self.only("accounturi") == Some(url)
    }

    fn names_any_of(&self, methods: &[&str]) -> bool {
        !self.has("validationmethods")
            || self
                .only("validationmethods")
                .is_some_and(|allowed| allowed.split(',').any(|allowed| methods.contains(&allowed)))
    }
}

fn parameter(text: &str) -> Option<(&str, &str)> {
    let (tag, value) = text.split_once('=')?;
    let (tag, value) = (trimmed(tag), trimmed(value));
    let printable = |byte: u8| (0x21..=0x7e).contains(&byte) && byte != b';';
    (is_label(tag) && value.bytes().all(printable)).then_some((tag, value))
}

fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Letters, digits, and hyphens between them.
fn is_label(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests;
