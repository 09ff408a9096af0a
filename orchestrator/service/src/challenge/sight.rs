//! What one answer of an authoritative server says of a TXT record.

use std::fmt;
use std::time::Duration;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::proto::serialize::binary::{BinDecodable as _, BinDecoder};
use issuance::propagation::Sighting;

/// Values that are told of what stands in place of the expected one.
const VALUES_TOLD: usize = 2;
const VALUE_CHARACTERS_MAX: usize = 60;

/// An answer, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Shows,
    /// It speaks for the zone, and the values are not all there.
    Missing {
        nxdomain: bool,
        /// What is there.
        values: Vec<String>,
        /// How long a resolver keeps a negative answer.
        negative_ttl: Option<Duration>,
    },
    /// CNAME (RFC 1034 §3.6.2), or DNAME above the name (RFC 6672).
    Alias(Name),
    /// An error.
    Error(ResponseCode),
    /// An answer without authority: a cache, or a server that refers elsewhere.
    NotAuthoritative,
}

/// What is looked for among the values of a name's TXT records.
pub(super) type Expected<'a> = &'a (dyn Fn(&[String]) -> bool + Sync);

pub(super) fn read(answer: &Message, owner: &Name, expected: Expected<'_>) -> Seen {
    let nxdomain = match answer.metadata.response_code {
        ResponseCode::NoError => false,
        ResponseCode::NXDomain => true,
        error => return Seen::Error(error),
    };
    if !answer.metadata.authoritative {
        return Seen::NotAuthoritative;
    }
    if let Some(target) = alias_in(&answer.answers, owner) {
        return Seen::Alias(target);
    }
    let values: Vec<String> = answer
        .answers
        .iter()
        .filter(|record| record.name == *owner)
        .filter_map(|record| match &record.data {
            // RFC 8555 §8.4 compares the strings of one record as one.
            RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
            _ => None,
        })
        .collect();
    if !nxdomain && expected(&values) {
        return Seen::Shows;
    }
    Seen::Missing { nxdomain, values, negative_ttl: negative_ttl(&answer.authorities) }
}

fn alias_in(records: &[Record], owner: &Name) -> Option<Name> {
    let exact = records.iter().find_map(|record| match &record.data {
        RData::CNAME(target) if record.name == *owner => Some(target.0.to_lowercase()),
        _ => None,
    });
    // A server makes the CNAME of a DNAME itself (RFC 6672 §3.1); this is for one that does not.
    exact.or_else(|| {
        records.iter().filter(|record| record.record_type() == RecordType::DNAME).find_map(|record| {
            let RData::Unknown { rdata, .. } = &record.data else { return None };
            let target = Name::read(&mut BinDecoder::new(&rdata.anything)).ok()?;
            let below = record.name.zone_of(owner) && record.name != *owner;
            let kept = usize::from(owner.num_labels().checked_sub(record.name.num_labels())?);
            let front = Name::from_labels(owner.iter().take(kept)).ok()?;
            below.then(|| front.append_domain(&target).ok()).flatten().map(|name| name.to_lowercase())
        })
    })
}

/// RFC 2308 §5: the lesser of the SOA record's TTL and its last field.
fn negative_ttl(authorities: &[Record]) -> Option<Duration> {
    authorities.iter().find_map(|record| match &record.data {
        RData::SOA(start) => Some(Duration::from_secs(record.ttl.min(start.minimum).into())),
        _ => None,
    })
}

impl Seen {
    pub(super) fn sighting(&self) -> Sighting {
        match self {
            Self::Shows => Sighting::Shows,
            Self::Missing { .. } | Self::Alias(_) => Sighting::Missing,
            Self::Error(_) | Self::NotAuthoritative => Sighting::Lame,
        }
    }

    /// It answers for the zone.
    pub(super) fn speaks(&self) -> bool {
        matches!(self, Self::Shows | Self::Missing { .. } | Self::Alias(_))
    }

    pub(super) fn alias(&self) -> Option<&Name> {
        if let Self::Alias(target) = self { Some(target) } else { None }
    }

    pub(super) fn negative_ttl(&self) -> Option<Duration> {
        if let Self::Missing { negative_ttl, .. } = self { *negative_ttl } else { None }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shows => f.write_str("shows the record"),
            Self::Missing { nxdomain: true, .. } => f.write_str("does not know the name (NXDOMAIN)"),
            Self::Missing { values, .. } if values.is_empty() => f.write_str("has no TXT record there"),
            Self::Missing { values, .. } => {
                let told = values.iter().take(VALUES_TOLD);
                let told: Vec<String> = told
                    .map(|value| {
                        format!("{:?}", value.chars().take(VALUE_CHARACTERS_MAX).collect::<String>())
                    })
                    .collect();
                write!(f, "has other values: {}", told.join(", "))?;
                match values.len().checked_sub(VALUES_TOLD) {
                    Some(more) if more > 0 => write!(f, " and {more} more"),
                    _ => Ok(()),
                }
            }
            Self::Alias(target) => write!(f, "has an alias to {target} there, and others do not"),
            Self::Error(code) => write!(f, "answers {code}"),
            Self::NotAuthoritative => f.write_str("does not answer for the zone (no AA bit)"),
        }
    }
}
