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

mod report;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hickory_resolver::proto::rr::{Name, RecordType};
use issuance::fault::FailureClass;
use issuance::propagation::{Quorum, Round, Sighting};
use tokio::time::{Instant, timeout};

use super::address::AddressPolicy;
use super::alias::ALIASES_MAX;
use super::delegation::{Delegation, DelegationFault, ServerFault, Servers, absolute, canonical};
use super::dns01::RecordName;
use super::instruments::PropagationInstruments;
use super::question::{AskFault, Patience, Transport};
use super::report::presentable;
use super::resolver::{DNS_PORT, NameResolver};
use super::sight::{Expected, Seen, read};

pub use self::report::{PropagationReport, ServerReport, Verdict};

/// Addresses asked in one look.
const ADDRESSES_MAX: usize = 48;
const TOO_LONG: &str = "looking at its servers took too long";

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

/// Where a record stands, or would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub owner: RecordName,
    /// The zone that holds it.
    pub zone: RecordName,
}

/// The end of a chain of aliases.
struct Traced {
    owner: Name,
    zone: Arc<Delegation>,
    looks: Vec<Look>,
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
        self.look_for(name, &|values| expected.iter().all(|value| values.contains(value))).await
    }

    /// The same, for values that are known when they are seen.
    pub async fn look_for(
        &self,
        name: &str,
        expected: &(dyn Fn(&[String]) -> bool + Sync),
    ) -> PropagationReport {
        let started = Instant::now();
        let report = match timeout(self.deadline, self.follow(name, expected)).await {
            Ok(report) => report,
            Err(_) => PropagationReport::unknown(name, TOO_LONG),
        };
        self.instruments.record(&report, started.elapsed());
        report
    }

    /// Where a record of `name` stands, or would: aliases followed as a CA's resolver follows them.
    ///
    /// # Errors
    /// What is to blame, or that it could not be found out; never [`Verdict::Visible`].
    pub async fn standing(&self, name: &RecordName) -> Result<Standing, Verdict> {
        let traced = timeout(self.deadline, self.trace(name.as_str(), &|_| true)).await;
        let traced = traced.map_err(|_| Verdict::Unknown { detail: TOO_LONG.to_owned() })?;
        let Traced { owner, zone, looks } = traced.map_err(|report| report.verdict)?;
        if !looks.iter().any(|look| look.seen.as_ref().is_ok_and(Seen::speaks)) {
            let servers: Vec<_> = looks.into_iter().map(Look::report).collect();
            return Err(Verdict::of(Round::TooFew, &servers));
        }
        let named = |name: &Name| {
            RecordName::parse(&canonical(name)).map_err(|error| Verdict::NotYet {
                class: FailureClass::DnsDelegation,
                detail: presentable(&format!("the aliases of {name} cannot be followed: {error}")),
            })
        };
        Ok(Standing { owner: named(&owner)?, zone: named(&zone.zone)? })
    }

    async fn follow(&self, name: &str, expected: Expected<'_>) -> PropagationReport {
        let Traced { owner, zone, mut looks } = match self.trace(name, expected).await {
            Ok(traced) => traced,
            Err(report) => return *report,
        };
        if matches!(self.round(&looks), Round::Green { .. }) {
            self.look_over_tcp(&zone, &owner, expected, &mut looks).await;
        }
        self.report(&owner, &zone, looks)
    }

    /// To where the aliases of `name` end, and what every server says there.
    async fn trace(&self, name: &str, expected: Expected<'_>) -> Result<Traced, Box<PropagationReport>> {
        let broken = |class, detail: &str| Err(Box::new(PropagationReport::broken(name, class, detail)));
        let Some(mut owner) = absolute(name) else {
            return broken(FailureClass::RejectedIdentifier, "the name cannot be asked for");
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
                    return broken(FailureClass::DnsAlias, &detail);
                }
                Err(fault) => {
                    return Err(Box::new(PropagationReport::without_zone(&canonical(&owner), &fault)));
                }
            };
            let looks = self.look_at(&zone, &owner, expected, None).await;
            match alias(&looks) {
                Some(target) if met.contains(&target) => {
                    let chain: Vec<_> = met.iter().chain([&target]).map(canonical).collect();
                    let detail = format!("its aliases lead in a circle: {}", chain.join(" → "));
                    return broken(FailureClass::DnsAlias, &detail);
                }
                Some(_) if met.len() > ALIASES_MAX => {
                    let detail = format!("more than {ALIASES_MAX} aliases lead on from it: a CA gives up");
                    return broken(FailureClass::DnsAlias, &detail);
                }
                Some(target) => {
                    met.push(target.clone());
                    owner = target;
                }
                None => return Ok(Traced { owner, zone, looks }),
            }
        }
    }

    /// Every address side by side; a server without one is there too.
    async fn look_at(
        &self,
        zone: &Delegation,
        owner: &Name,
        expected: Expected<'_>,
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
    async fn look_over_tcp(
        &self,
        zone: &Delegation,
        owner: &Name,
        expected: Expected<'_>,
        looks: &mut [Look],
    ) {
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

impl fmt::Debug for Propagation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Propagation").field("quorum", &self.quorum).finish_non_exhaustive()
    }
}
