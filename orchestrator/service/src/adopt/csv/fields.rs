//! Parses the five fields of a row.

use std::collections::{BTreeMap, BTreeSet};

use issuance::identifier::{Hostname, Identifiers};

use super::fault::FaultCode;

/// As the `tenants` table checks it.
const TENANT_BYTES_MAX: usize = 64;
const EXTERNAL_ID_BYTES_MAX: usize = 255;
const LABELS_MAX: usize = 32;
const LABEL_KEY_BYTES_MAX: usize = 63;
const LABEL_VALUE_BYTES_MAX: usize = 255;
/// What a fault quotes of the value it is about.
const QUOTED_CHARS_MAX: usize = 64;

/// Something wrong inside a field, `offset` bytes from its beginning.
#[derive(Debug)]
pub(in crate::adopt) struct FieldFault {
    pub(in crate::adopt) offset: usize,
    pub(in crate::adopt) code: FaultCode,
    pub(in crate::adopt) detail: String,
}

impl FieldFault {
    pub(in crate::adopt) fn new(offset: usize, code: FaultCode, detail: impl Into<String>) -> Self {
        Self { offset, code, detail: detail.into() }
    }
}

/// How control of a name is proven (RFC 8555 §8), among those this release answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Challenge {
    Http01,
    Dns01,
}

impl Challenge {
    /// The spelling in the file, the database and at the CA.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
        }
    }
}

pub(in crate::adopt) fn tenant(text: &str) -> Result<&str, FieldFault> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let good = text.len() <= TENANT_BYTES_MAX
        && text.bytes().all(|byte| inner(byte) || matches!(byte, b'.' | b'_' | b'-'))
        && text.bytes().next().is_some_and(inner)
        && text.bytes().last().is_some_and(inner);
    if good {
        return Ok(text);
    }
    Err(FieldFault::new(
        0,
        FaultCode::BadTenant,
        format!(
            "{} is no tenant: write 1 to {TENANT_BYTES_MAX} lower-case letters, digits, dots, hyphens or underscores, with a letter or digit at both ends",
            quoted(text)
        ),
    ))
}

pub(in crate::adopt) fn external_id(text: &str) -> Result<&str, FieldFault> {
    if text.is_empty() {
        let detail = "the external id is missing: write the id by which your panel knows the site";
        return Err(FieldFault::new(0, FaultCode::BadExternalId, detail));
    }
    if text.len() > EXTERNAL_ID_BYTES_MAX || text.chars().any(char::is_control) {
        let detail = format!(
            "{} is no external id: write at most {EXTERNAL_ID_BYTES_MAX} bytes without control characters",
            quoted(text)
        );
        return Err(FieldFault::new(0, FaultCode::BadExternalId, detail));
    }
    Ok(text)
}

/// The names, and for each of them, in the order of the set, the byte it begins at. A wildcard cannot be proven by a
/// challenge that is known to be another than `dns-01`.
pub(in crate::adopt) fn names(
    text: &str,
    challenge: Option<Challenge>,
    names_max: usize,
) -> Result<(Identifiers, Vec<usize>), Vec<FieldFault>> {
    let words: Vec<(usize, &str)> = words(text, char::is_whitespace).collect();
    names_of(&words, challenge, names_max)
}

/// The same for names that have been taken apart, each with the byte it begins at.
pub(in crate::adopt) fn names_of(
    words: &[(usize, &str)],
    challenge: Option<Challenge>,
    names_max: usize,
) -> Result<(Identifiers, Vec<usize>), Vec<FieldFault>> {
    let mut good: Vec<(Hostname, usize)> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut faults = Vec::new();
    for &(offset, word) in words {
        match Hostname::parse(word) {
            Ok(name) if !seen.insert(name.clone()) => {
                let detail = format!("{name} stands twice in this row: remove one of them");
                faults.push(FieldFault::new(offset, FaultCode::NameRepeatedInRow, detail));
            }
            Ok(name) if name.is_wildcard() && challenge == Some(Challenge::Http01) => {
                let detail = format!(
                    "{name} is a wildcard, which http-01 cannot prove: list the names, or write dns-01 as the challenge"
                );
                faults.push(FieldFault::new(offset, FaultCode::ChallengeNotOffered, detail));
            }
            Ok(name) => good.push((name, offset)),
            Err(error) => {
                let detail = format!("{}: {error}", quoted(word));
                faults.push(FieldFault::new(offset, FaultCode::from(&error), detail));
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    good.sort_unstable();
    let (names, offsets): (Vec<Hostname>, Vec<usize>) = good.into_iter().unzip();
    if names.len() > names_max {
        let detail = format!(
            "the row has {} names, an order holds {names_max} at the most: split it into several certificates",
            names.len()
        );
        return Err(vec![FieldFault::new(0, FaultCode::TooManyNames, detail)]);
    }
    match Identifiers::new(names) {
        Ok(names) => Ok((names, offsets)),
        Err(error) => Err(vec![FieldFault::new(0, FaultCode::from(&error), error.to_string())]),
    }
}

pub(in crate::adopt) fn challenge(text: &str) -> Result<Challenge, FieldFault> {
    match text {
        "http-01" => Ok(Challenge::Http01),
        "dns-01" => Ok(Challenge::Dns01),
        "tls-alpn-01" => Err(FieldFault::new(
            0,
            FaultCode::ChallengeNotOffered,
            format!("{text} is not offered by this release: write http-01 or dns-01"),
        )),
        _ => Err(FieldFault::new(
            0,
            FaultCode::UnknownChallenge,
            format!("{} is no challenge: write http-01 or dns-01", quoted(text)),
        )),
    }
}

pub(in crate::adopt) fn labels(text: &str) -> Result<BTreeMap<String, String>, Vec<FieldFault>> {
    let mut faults = Vec::new();
    let mut pairs = Vec::new();
    for (offset, word) in words(text, |c| c == ';' || c.is_whitespace()) {
        if let Some((key, value)) = word.split_once('=') {
            pairs.push((offset, key, value));
        } else {
            let detail = format!("{} is no label: write key=value", quoted(word));
            faults.push(FieldFault::new(offset, FaultCode::BadLabel, detail));
        }
    }
    labels_of(pairs, faults)
}

/// The same for labels that have been taken apart, each with the byte it begins at, and what is wrong with others.
pub(in crate::adopt) fn labels_of<'a>(
    pairs: impl IntoIterator<Item = (usize, &'a str, &'a str)>,
    mut faults: Vec<FieldFault>,
) -> Result<BTreeMap<String, String>, Vec<FieldFault>> {
    let mut labels = BTreeMap::new();
    for (offset, key, value) in pairs {
        let fault = |detail: String| FieldFault::new(offset, FaultCode::BadLabel, detail);
        if !is_label_key(key) {
            faults.push(fault(format!(
                "{} is no label key: write 1 to {LABEL_KEY_BYTES_MAX} letters, digits, dots, hyphens, underscores or slashes",
                quoted(key)
            )));
        } else if value.len() > LABEL_VALUE_BYTES_MAX || value.chars().any(char::is_control) {
            faults.push(fault(format!(
                "the value is no label value: write at most {LABEL_VALUE_BYTES_MAX} bytes without control characters"
            )));
        } else if labels.insert(key.to_owned(), value.to_owned()).is_some() {
            faults.push(fault(format!("the label {key} stands twice: remove one of them")));
        }
    }
    if labels.len() > LABELS_MAX {
        let detail = format!("the row has more than {LABELS_MAX} labels: remove some");
        faults.push(FieldFault::new(0, FaultCode::BadLabel, detail));
    }
    faults.sort_by_key(|fault| fault.offset);
    if faults.is_empty() { Ok(labels) } else { Err(faults) }
}

fn is_label_key(key: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'/');
    (1..=LABEL_KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(good)
}

/// The words between separators, each with the byte it begins at.
fn words(text: &str, is_separator: impl Fn(char) -> bool) -> impl Iterator<Item = (usize, &str)> {
    text.split(is_separator)
        .filter(|word| !word.is_empty())
        .map(move |word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
}

pub(in crate::adopt) fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
