//! Proof by a TXT record that stays (`dns-persist-01`, draft-ietf-acme-dns-persist): what it is to say, and whether it
//! says so.
//!
//! ```text
//! _validation-persist.shop.com TXT "ca.example; accounturi=https://ca.example/acct/1; policy=wildcard"
//! ```
//!
//! The record names the issuer and the account, and holds no secret; it is published once, and by the owner of the name.

use std::fmt::{self, Write as _};

use crate::caa::IssueValue;
use crate::identifier::Hostname;
use crate::time::Timestamp;

const LABEL: &str = "_validation-persist";
const ACCOUNT: &str = "accounturi";
const POLICY: &str = "policy";
const WILDCARD: &str = "wildcard";
const UNTIL: &str = "persistUntil";

/// Where a CA looks for the record; a wildcard's is its validation target's.
pub fn record_name(name: &Hostname) -> String {
    format!("{LABEL}.{}", name.validation_target())
}

/// What a record has to let.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The names by which the CA recognises itself: the challenge's `issuer-domain-names`.
    pub issuers: &'a [Box<str>],
    /// The account that orders. Compared byte for byte.
    pub account_url: &'a str,
    /// The name is a wildcard.
    pub wildcard: bool,
    pub now: Timestamp,
}

/// Why what stands at the name does not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objection {
    /// No value names the issuer, or none that can be read does.
    Issuer,
    /// One does, for another account or for none.
    Account,
    /// It does not say `policy=wildcard`.
    Wildcard,
    /// It was to last until then.
    Over { until: Timestamp },
}

/// Whether the values of the TXT records at the name let the account have it certified; the nearest objection.
pub fn judge(values: &[String], question: &Question<'_>) -> Result<(), Objection> {
    let mut nearest = Objection::Issuer;
    for value in values {
        let Some(record) = IssueValue::parse(value) else { continue };
        match judge_one(&record, question) {
            Ok(()) => return Ok(()),
            Err(objection) if objection.nearness() > nearest.nearness() => nearest = objection,
            Err(_) => {}
        }
    }
    Err(nearest)
}

fn judge_one(record: &IssueValue<'_>, question: &Question<'_>) -> Result<(), Objection> {
    let names_us = |issuer: &str| question.issuers.iter().any(|own| own.eq_ignore_ascii_case(issuer));
    if !record.issuer.is_some_and(names_us) {
        return Err(Objection::Issuer);
    }
    if record.only(ACCOUNT) != Some(question.account_url) {
        return Err(Objection::Account);
    }
    if record.has(UNTIL) {
        // One that cannot be read, or stands there twice, is over.
        let until = record.only(UNTIL).and_then(|seconds| seconds.parse().ok());
        let until = Timestamp::from_unix_seconds(until.unwrap_or(0));
        if until <= question.now {
            return Err(Objection::Over { until });
        }
    }
    let covers = record.only(POLICY).is_some_and(|policy| policy.eq_ignore_ascii_case(WILDCARD));
    if question.wildcard && !covers { Err(Objection::Wildcard) } else { Ok(()) }
}

/// The value to publish. `until`: it is of no use afterwards.
pub fn value(issuer: &str, account_url: &str, wildcard: bool, until: Option<Timestamp>) -> String {
    let mut value = format!("{issuer}; {ACCOUNT}={account_url}");
    if wildcard {
        value.push_str("; policy=wildcard");
    }
    if let Some(until) = until {
        let _ = write!(value, "; {UNTIL}={}", until.unix_seconds());
    }
    value
}

impl Objection {
    fn nearness(&self) -> u8 {
        match self {
            Self::Issuer => 0,
            Self::Account => 1,
            Self::Over { .. } => 2,
            Self::Wildcard => 3,
        }
    }
}

/// What is seen, as in "the record …".
impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issuer => f.write_str("does not name the CA"),
            Self::Account => f.write_str("names the CA, and not this account (accounturi)"),
            Self::Wildcard => f.write_str("is not for wildcards (policy=wildcard)"),
            Self::Over { until } => write!(f, "has been over since {until} ({UNTIL})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);
    const ACCT: &str = "https://ca.test/acct/1";

    fn ask(values: &[&str], wildcard: bool) -> Result<(), Objection> {
        let values: Vec<String> = values.iter().map(|&value| value.to_owned()).collect();
        let issuers = ["ca.test".into(), "ca.example".into()];
        judge(&values, &Question { issuers: &issuers, account_url: ACCT, wildcard, now: NOW })
    }

    #[test]
    fn what_is_to_be_published_is_what_is_accepted() {
        let (name, at) = (|text: &str| Hostname::parse(text).expect(text), "_validation-persist.shop.com");
        assert_eq!(
            (record_name(&name("shop.com")), record_name(&name("*.shop.com"))),
            (at.into(), at.into())
        );
        for (wildcard, until) in
            [(false, None), (true, None), (true, Some(NOW.after(std::time::Duration::from_secs(1))))]
        {
            let value = value("ca.test", ACCT, wildcard, until);
            assert_eq!(ask(&[&value], wildcard), Ok(()), "{value}");
        }
        let whole = value("ca.test", ACCT, true, Some(NOW));
        assert_eq!(
            whole,
            "ca.test; accounturi=https://ca.test/acct/1; policy=wildcard; persistUntil=1795255445"
        );
        assert_eq!(ask(&[&whole], true), Err(Objection::Over { until: NOW }));
    }

    #[test]
    fn any_of_several_records_does_and_the_nearest_objection_is_told() {
        let good = format!("CA.example;accounturi={ACCT};unknown=1");
        assert_eq!(ask(&["v=spf1 -all", "other.test; accounturi=x", &good], false), Ok(()));
        assert_eq!(ask(&["other.test", &good], true), Err(Objection::Wildcard));
        assert_eq!(ask(&["ca.test"], false), Err(Objection::Account));
        assert_eq!(ask(&[&format!("ca.test; accounturi={ACCT}/")], false), Err(Objection::Account));
        assert_eq!(
            ask(&[&format!("ca.test; accounturi={ACCT}; accounturi={ACCT}")], false),
            Err(Objection::Account)
        );
        assert_eq!(ask(&[&format!("other.test; accounturi={ACCT}")], false), Err(Objection::Issuer));
        assert_eq!(ask(&[], false), Err(Objection::Issuer));
        let twice = format!("ca.test; accounturi={ACCT}; persistUntil=9999999999; persistUntil=1");
        assert!(matches!(ask(&[&twice], false), Err(Objection::Over { .. })));
    }
}
