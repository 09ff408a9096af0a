//! Looks for a TXT record at every address of every authoritative server of its zone.
//!
//! ```text
//! _acme-challenge.www.example.com ── zone cut ──▶ servers ──▶ TXT at each address ──▶ CNAME? ──▶ again, there
//!                                                                     │
//!                                    issuance::propagation ◀── Sighting of each
//! ```
//!
//! The record itself is never asked of a recursive resolver: asked too early, it would go on saying that there is
//! none. Nothing is waited for in here; when to look again is decided by [`issuance::propagation::Watch`].

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hickory_resolver::proto::rr::{Name, RecordType};
use issuance::fault::FailureClass;
use issuance::identifier::delegated_domain;
use issuance::propagation::{Quorum, Round, Sighting};
use tokio::time::{Instant, timeout};

use super::address::AddressPolicy;
use super::alias::ALIASES_MAX;
use super::delegation::{Delegation, DelegationFault, ServerFault, Servers, absolute, canonical};
use super::instruments::PropagationInstruments;
use super::question::{AskFault, Patience, Transport};
use super::report::presentable;
use super::resolver::{DNS_PORT, NameResolver, ResolveFault};
use super::sight::{Seen, read};

/// Addresses asked in one look.
const ADDRESSES_MAX: usize = 48;

#[derive(Debug, Clone)]
pub struct PropagationConfig {
    /// Where authoritative servers answer.
    pub port: u16,
    /// How long one try waits for an answer.
    pub timeout: Duration,
    /// Tries of each address over UDP.
    pub tries: u8,
    /// How long one look may take in all.
    pub deadline: Duration,
    pub quorum: Quorum,
}

impl Default for PropagationConfig {
    fn default() -> Self {
        Self {
            port: DNS_PORT,
            timeout: Duration::from_secs(2),
            tries: 2,
            deadline: Duration::from_secs(20),
            quorum: Quorum::default(),
        }
    }
}

/// Looks at the servers of zones. One per process.
///
/// A look may be dropped at any point: it holds nothing but sockets.
pub struct Propagation {
    servers: Servers,
    deadline: Duration,
    quorum: Quorum,
    instruments: PropagationInstruments,
}

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

impl Propagation {
    pub fn new(config: &PropagationConfig, resolver: Arc<NameResolver>, policy: Arc<AddressPolicy>) -> Self {
        let patience = Patience { timeout: config.timeout, tries: config.tries };
        Self {
            servers: Servers::new(resolver, policy, config.port, patience),
            deadline: config.deadline,
            quorum: config.quorum,
            instruments: PropagationInstruments::register(),
        }
    }

    /// Whether every value in `expected` is a TXT record of `name`, or of what it is an alias of, at all servers.
    ///
    /// `name` is the whole name, as in `_acme-challenge.www.example.com`; other values may stand beside.
    pub async fn look(&self, name: &str, expected: &[String]) -> PropagationReport {
        let started = Instant::now();
        let report = match timeout(self.deadline, self.follow(name, expected)).await {
            Ok(report) => report,
            Err(_) => PropagationReport::unknown(name, "looking at its servers took too long"),
        };
        self.instruments.record(&report, started.elapsed());
        report
    }

    async fn follow(&self, name: &str, expected: &[String]) -> PropagationReport {
        let Some(mut owner) = absolute(name) else {
            return PropagationReport::broken(
                name,
                FailureClass::RejectedIdentifier,
                "the name cannot be asked for",
            );
        };
        let mut met = vec![owner.clone()];
        loop {
            let zone = match self.servers.holding(&owner).await {
                Ok(zone) => zone,
                Err(DelegationFault::NotRegistered { zone }) if met.len() > 1 => {
                    let chain: Vec<_> = met.iter().map(canonical).collect();
                    let detail = format!(
                        "it is an alias ({}), and the domain {} is not in DNS",
                        chain.join(" → "),
                        canonical(&zone)
                    );
                    return PropagationReport::broken(name, FailureClass::DnsAlias, &detail);
                }
                Err(fault) => return PropagationReport::without_zone(&canonical(&owner), &fault),
            };
            let mut looks = self.look_at(&zone, &owner, expected, None).await;
            match alias(&looks) {
                Some(target) if met.contains(&target) => {
                    let chain: Vec<_> = met.iter().chain([&target]).map(canonical).collect();
                    let detail = format!("its aliases lead in a circle: {}", chain.join(" → "));
                    return PropagationReport::broken(name, FailureClass::DnsAlias, &detail);
                }
                Some(_) if met.len() > ALIASES_MAX => {
                    let detail = format!("more than {ALIASES_MAX} aliases lead on from it: a CA gives up");
                    return PropagationReport::broken(name, FailureClass::DnsAlias, &detail);
                }
                Some(target) => {
                    met.push(target.clone());
                    owner = target;
                }
                None => {
                    if matches!(self.round(&looks), Round::Green { .. }) {
                        self.look_over_tcp(&zone, &owner, expected, &mut looks).await;
                    }
                    return self.report(&owner, &zone, looks);
                }
            }
        }
    }

    /// Every address side by side; a server without one is there too.
    async fn look_at(
        &self,
        zone: &Delegation,
        owner: &Name,
        expected: &[String],
        transport: Option<Transport>,
    ) -> Vec<Look> {
        let mut asked: Vec<(&Name, Option<IpAddr>)> = Vec::new();
        for (server, addresses) in &zone.servers {
            match addresses.as_slice() {
                [] => asked.push((server, None)),
                addresses => asked.extend(addresses.iter().map(|address| (server, Some(*address)))),
            }
        }
        asked.truncate(ADDRESSES_MAX);
        let looks = asked.into_iter().map(|(server, address)| async move {
            let seen = match address {
                None => Err(ServerFault::NoAddress),
                Some(address) => self
                    .servers
                    .ask(address, owner, RecordType::TXT, transport)
                    .await
                    .map(|answer| read(&answer, owner, expected)),
            };
            Look { server: canonical(server), address, seen, tcp_fails: false }
        });
        join_all(looks).await
    }

    /// A long answer, and a resolver that is under attack, needs TCP; and it must be the same answer there.
    async fn look_over_tcp(&self, zone: &Delegation, owner: &Name, expected: &[String], looks: &mut [Look]) {
        let over_tcp = self.look_at(zone, owner, expected, Some(Transport::Tcp)).await;
        for (look, again) in looks.iter_mut().zip(over_tcp) {
            match again.seen {
                Ok(seen) if look.sighting() == Sighting::Shows => look.seen = Ok(seen),
                Err(_) if look.sighting() == Sighting::Shows => look.tcp_fails = true,
                _ => {}
            }
        }
    }

    fn round(&self, looks: &[Look]) -> Round {
        let seen: Vec<_> = looks.iter().map(|look| (look.server.as_str(), look.sighting())).collect();
        Round::of(&seen, self.quorum)
    }

    fn report(&self, owner: &Name, zone: &Delegation, looks: Vec<Look>) -> PropagationReport {
        let round = self.round(&looks);
        let negative_ttl = looks.iter().filter_map(Look::negative_ttl).max();
        let servers: Vec<ServerReport> = looks.into_iter().map(Look::report).collect();
        let mut findings: Vec<String> = zone.difference().into_iter().collect();
        let no_tcp = servers.iter().filter(|server| server.tcp_fails);
        findings.extend(no_tcp.map(|server| format!("{} does not answer over TCP", server.place())));
        PropagationReport {
            verdict: Verdict::of(round, &servers),
            round,
            owner: canonical(owner),
            zone: Some(canonical(&zone.zone)),
            servers,
            findings,
            negative_ttl,
        }
    }
}

/// Where all servers that speak for the zone say that the name is an alias, what of.
///
/// While some say otherwise the alias is on its way: it is not followed, and those that say it show nothing.
fn alias(looks: &[Look]) -> Option<Name> {
    let mut speaking = looks.iter().filter_map(|look| look.seen.as_ref().ok()).filter(|seen| seen.speaks());
    let target = speaking.next()?.alias()?;
    speaking.all(|seen| seen.alias() == Some(target)).then(|| target.clone())
}

/// One address, asked.
struct Look {
    server: String,
    address: Option<IpAddr>,
    seen: Result<Seen, ServerFault>,
    tcp_fails: bool,
}

impl Look {
    fn sighting(&self) -> Sighting {
        match &self.seen {
            Ok(seen) => seen.sighting(),
            Err(ServerFault::Refused(_) | ServerFault::Ask(AskFault::NoRoute)) => Sighting::NotAsked,
            Err(ServerFault::NoAddress | ServerFault::Ask(AskFault::Malformed)) => Sighting::Lame,
            Err(ServerFault::Ask(AskFault::Silent | AskFault::Closed | AskFault::NoTcp)) => Sighting::Silent,
        }
    }

    fn negative_ttl(&self) -> Option<Duration> {
        self.seen.as_ref().ok().and_then(Seen::negative_ttl)
    }

    fn report(self) -> ServerReport {
        let sighting = self.sighting();
        let detail = match &self.seen {
            Ok(seen) => seen.to_string(),
            Err(fault) => fault.to_string(),
        };
        let needs_tcp = self.seen == Err(ServerFault::Ask(AskFault::NoTcp));
        let others = match self.seen {
            Ok(Seen::Missing { mut values, .. }) if !values.is_empty() => {
                values.sort_unstable();
                Some(values)
            }
            _ => None,
        };
        let Self { server, address, tcp_fails, .. } = self;
        ServerReport { server, address, sighting, detail, tcp_fails, needs_tcp, others }
    }
}

impl ServerReport {
    fn place(&self) -> String {
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
    fn of(round: Round, servers: &[ServerReport]) -> Self {
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

    fn unknown(owner: &str, detail: &str) -> Self {
        Self::empty(owner, Verdict::Unknown { detail: presentable(detail) })
    }

    fn broken(owner: &str, class: FailureClass, detail: &str) -> Self {
        Self::empty(owner, Verdict::NotYet { class, detail: presentable(detail) })
    }

    fn without_zone(owner: &str, fault: &DelegationFault) -> Self {
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

impl fmt::Debug for Propagation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Propagation").field("quorum", &self.quorum).finish_non_exhaustive()
    }
}
