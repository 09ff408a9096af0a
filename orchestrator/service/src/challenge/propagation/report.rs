//! What a look at all servers of a zone has found, in words.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use issuance::fault::FailureClass;
use issuance::identifier::delegated_domain;
use issuance::propagation::{Round, Sighting};

use crate::challenge::delegation::DelegationFault;
use crate::challenge::report::presentable;
use crate::challenge::resolver::ResolveFault;

/// What one look found.
#[derive(Debug, Clone)]
pub struct PropagationReport {
    pub verdict: Verdict,
    /// What [`issuance::propagation::Watch::after`] decides by.
    pub round: Round,
    /// Where the record stands in the end: the name itself, or what its aliases lead to.
    pub owner: String,
    /// The zone that holds it; none where it was not found.
    pub zone: Option<String>,
    /// Every address that was asked, or would have been.
    pub servers: Vec<ServerReport>,
    /// What is wrong with the zone beside it, in sentences; does not decide.
    pub findings: Vec<String>,
    /// How long a resolver that asked too early says that there is none (RFC 2308 §5), by the server that does not
    /// show the record.
    pub negative_ttl: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every server that speaks for the zone shows every value.
    Visible,
    /// Not everywhere; the class is what is to blame if it stays so.
    NotYet { class: FailureClass, detail: String },
    /// We could not look. Says nothing about the record.
    Unknown { detail: String },
}

/// One address of one server.
#[derive(Debug, Clone)]
pub struct ServerReport {
    /// Its name in the NS records.
    pub server: String,
    /// None where the name has no address.
    pub address: Option<IpAddr>,
    pub sighting: Sighting,
    /// What it said, in words.
    pub detail: String,
    /// It shows the record and does not answer over TCP, which a CA needs for a longer answer.
    pub tcp_fails: bool,
    /// Its answer does not fit into UDP, and TCP gives none.
    pub needs_tcp: bool,
    /// It speaks for the zone, and shows other values than those expected, in order.
    pub others: Option<Vec<String>>,
}

impl PropagationReport {
    /// Under which what is learnt of these servers is kept: the domains that their names are in.
    pub fn server_set(&self) -> String {
        let domains: BTreeSet<&str> =
            self.servers.iter().map(|server| delegated_domain(&server.server)).collect();
        domains.into_iter().collect::<Vec<_>>().join(",")
    }
}

impl ServerReport {
    pub(super) fn place(&self) -> String {
        match self.address {
            Some(address) => format!("{} ({address})", self.server),
            None => self.server.clone(),
        }
    }
}

impl fmt::Display for ServerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.detail)
    }
}

impl Verdict {
    pub(super) fn of(round: Round, servers: &[ServerReport]) -> Self {
        let told = |of: &[Sighting]| {
            let told = servers.iter().filter(|server| of.contains(&server.sighting)).map(ToString::to_string);
            presentable(&told.collect::<Vec<_>>().join("; "))
        };
        let count = |of: Sighting| servers.iter().filter(|server| server.sighting == of).count();
        match round {
            Round::Green { .. } => Self::Visible,
            Round::Missing => {
                let class = if agree_on_others(servers) {
                    FailureClass::WrongRecord
                } else {
                    FailureClass::PropagationTimeout
                };
                Self::NotYet { class, detail: told(&[Sighting::Missing]) }
            }
            Round::TooFew => {
                let (lame, silent) = (count(Sighting::Lame), count(Sighting::Silent));
                let detail = told(&[Sighting::Lame, Sighting::Silent, Sighting::NotAsked]);
                if lame + silent == 0 && servers.iter().any(|server| server.detail.contains("no route")) {
                    return Self::Unknown { detail };
                }
                let class = match (lame, silent) {
                    (0, 0) => FailureClass::PrivateAddress,
                    _ if servers.iter().any(|server| server.needs_tcp) => FailureClass::DnsTcp,
                    (lame, silent) if lame >= silent => FailureClass::DnsLame,
                    _ => FailureClass::DnsTimeout,
                };
                Self::NotYet { class, detail }
            }
        }
    }
}

/// Whether no server that speaks for the zone is behind another: what they show is what was published.
fn agree_on_others(servers: &[ServerReport]) -> bool {
    let mut speaking =
        servers.iter().filter(|server| matches!(server.sighting, Sighting::Missing | Sighting::Shows));
    let Some(first) = speaking.next() else { return false };
    first.others.is_some() && speaking.all(|server| server.others == first.others)
}

impl PropagationReport {
    fn empty(owner: &str, verdict: Verdict) -> Self {
        Self {
            verdict,
            round: Round::TooFew,
            owner: owner.to_owned(),
            zone: None,
            servers: Vec::new(),
            findings: Vec::new(),
            negative_ttl: None,
        }
    }

    pub(super) fn unknown(owner: &str, detail: &str) -> Self {
        Self::empty(owner, Verdict::Unknown { detail: presentable(detail) })
    }

    pub(super) fn broken(owner: &str, class: FailureClass, detail: &str) -> Self {
        Self::empty(owner, Verdict::NotYet { class, detail: presentable(detail) })
    }

    pub(super) fn without_zone(owner: &str, fault: &DelegationFault) -> Self {
        let detail = fault.to_string();
        let class = match fault {
            DelegationFault::NotRegistered { .. } => FailureClass::DnsUnregistered,
            DelegationFault::NoZone { .. } | DelegationFault::TooDeep { .. } => FailureClass::DnsLame,
            DelegationFault::Resolver { fault: ResolveFault::Unreachable, .. } => {
                return Self::unknown(owner, &detail);
            }
            DelegationFault::Resolver { fault, .. } => fault.class().unwrap_or(FailureClass::DnsServfail),
        };
        Self::broken(owner, class, &detail)
    }
}
