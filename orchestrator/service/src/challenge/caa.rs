//! Looks whether the owner of a name lets our CA issue for it, as the CA will.
//!
//! Each name of the climb is asked of the resolver, which follows aliases (RFC 8659 §3). All at once, as Boulder
//! does: the climb ends at the first one that has records, and a failure below it cannot be overlooked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use issuance::caa::{Found, Property, Question, Relevant, climb, judge, relevant};
use issuance::fault::FailureClass;
use issuance::identifier::Hostname;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::delegation::absolute;
use super::resolver::{NameResolver, ResolveFault};

/// How long the look-ups of one name may take.
const DEADLINE: Duration = Duration::from_secs(15);

/// Who asks to issue.
#[derive(Debug, Clone)]
pub struct CaaIssuer {
    /// The CA's names in CAA records; at least one.
    pub identities: Vec<Box<str>>,
    /// Of the account that orders.
    pub account_url: Box<str>,
}

/// How the name will be proven, which a record may restrict (RFC 8657 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Http01,
    Dns01,
}

impl Method {
    /// The challenge type of RFC 8555 §8.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
        }
    }
}

/// Checks names against one CA and account. One per process.
#[derive(Debug)]
pub struct CaaCheck {
    resolver: Arc<NameResolver>,
    issuer: CaaIssuer,
}

/// Look-ups of one check: names of one order share what is above them. Nothing is kept beyond it, so that a record
/// that was mended is seen.
#[derive(Debug, Default)]
pub struct CaaRound(Mutex<HashMap<Box<str>, Arc<LookUp>>>);

/// One name of a climb, looked up once.
#[derive(Debug, Default)]
struct LookUp(OnceCell<Found<LookUpFault>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LookUpFault {
    fault: ResolveFault,
    cause: LookUpCause,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LookUpCause {
    /// The resolvers answer when they are told not to validate.
    Bogus,
    /// Questions of other types are answered.
    ThisType,
    Whole,
}

/// Why a CA would not issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaaFault {
    /// None where we could not look, which says nothing about the name.
    pub class: Option<FailureClass>,
    /// What is seen, and what to publish.
    pub detail: String,
}

impl CaaCheck {
    pub fn new(resolver: Arc<NameResolver>, issuer: CaaIssuer) -> Self {
        Self { resolver, issuer }
    }

    /// Whether the CA may issue for the name, wildcard or not.
    pub async fn check(&self, round: &CaaRound, name: &Hostname, method: Method) -> Result<(), CaaFault> {
        let names: Vec<&str> = climb(name.validation_target()).collect();
        let found = join_all(names.iter().map(|at| self.found(round, at)));
        let Ok(found) = timeout(DEADLINE, found).await else {
            let detail = format!("the look-ups of CAA records for {name} took too long");
            return Err(CaaFault { class: Some(FailureClass::CaaLookup), detail });
        };
        let question = Question {
            identities: &self.issuer.identities,
            account_url: &self.issuer.account_url,
            methods: &[method.as_str()],
            wildcard: name.is_wildcard(),
        };
        match relevant(names.into_iter().zip(&found)) {
            Relevant::Nothing => Ok(()),
            Relevant::Failed { at, fault } => Err(failed(at, *fault)),
            Relevant::Records { at, properties } => judge(properties, &question).map_err(|objection| {
                let mend = objection.mend(at, &question);
                let detail = format!("the CAA records of {at} {objection}; {mend}");
                CaaFault { class: Some(FailureClass::Caa), detail }
            }),
        }
    }

    async fn found(&self, round: &CaaRound, at: &str) -> Found<LookUpFault> {
        let look_up = {
            let mut look_ups = round.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(look_ups.entry(at.into()).or_default())
        };
        look_up.0.get_or_init(|| self.look_up(at)).await.clone()
    }

    async fn look_up(&self, at: &str) -> Found<LookUpFault> {
        let Some(name) = absolute(at) else { return Found::Nothing };
        match self.resolver.records(name.clone(), RecordType::CAA).await {
            Ok(records) => {
                let properties = records.into_iter().filter_map(|record| match record.data {
                    RData::CAA(record) => Some(Property {
                        critical: record.issuer_critical || record.reserved_flags & 1 != 0,
                        tag: record.tag.into(),
                        value: String::from_utf8_lossy(&record.value).into(),
                    }),
                    _ => None,
                });
                Found::Records(properties.collect())
            }
            // A name that does not exist has no records; but a top-level domain that does not is no place to issue.
            Err(ResolveFault::Nxdomain) if !is_top_level(&name) => Found::Nothing,
            Err(ResolveFault::NoAddress) => Found::Nothing,
            Err(fault) => Found::Failed(LookUpFault { fault, cause: self.cause(&name, fault).await }),
        }
    }

    async fn cause(&self, name: &Name, fault: ResolveFault) -> LookUpCause {
        let is_servfail = matches!(fault, ResolveFault::Servfail(_));
        if is_servfail && self.resolver.answers_unchecked(name, RecordType::CAA).await {
            return LookUpCause::Bogus;
        }
        if !is_servfail && fault != ResolveFault::Timeout {
            return LookUpCause::Whole;
        }
        match self.resolver.records(name.clone(), RecordType::SOA).await {
            Ok(_) | Err(ResolveFault::Nxdomain | ResolveFault::NoAddress) => LookUpCause::ThisType,
            Err(_) => LookUpCause::Whole,
        }
    }
}

fn is_top_level(name: &Name) -> bool {
    name.num_labels() <= 1
}

fn failed(at: &str, LookUpFault { fault, cause }: LookUpFault) -> CaaFault {
    let (class, seen) = match cause {
        LookUpCause::Bogus => (Some(FailureClass::Dnssec), "DNSSEC does not validate".to_owned()),
        LookUpCause::ThisType => (Some(FailureClass::CaaLookup), format!("{fault}, to this type alone")),
        LookUpCause::Whole => (fault.class(), fault.to_string()),
    };
    let detail = format!(
        "the CAA records of {at} cannot be looked up: {seen}; a CA refuses until the servers of {at} answer that \
         question, if only with no records"
    );
    CaaFault { class, detail }
}
