//! Which servers speak for a zone: by the zone above it, and by itself.
//!
//! ```text
//! resolver ── NS of the registered domain ──▶ its servers ── referral ──▶ those of a zone below it …
//!          └─ NS of the zone above ─────────▶ its servers ── NS ──▶ what the parent says
//! ```
//!
//! A recursive resolver is asked for NS records of zones and for addresses of servers, and for nothing else: it
//! remembers what does not exist.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use issuance::identifier::delegated_domain;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::address::{AddressPolicy, AddressRefusal};
use super::question::{self, AskFault, Manner, Patience, Transport};
use super::resolver::{NameResolver, ResolveFault};

/// The root has thirteen; whoever has more is asked at the first ones.
const SERVERS_MAX: usize = 13;
/// Of one server.
const ADDRESSES_MAX: usize = 8;
/// Servers of the zone above that are asked before its word is done without.
const PARENTS_MAX: usize = 3;
/// Zones between a registered domain and a name in it.
const REFERRALS_MAX: usize = 8;
/// What was found is good for so long: the names of one import share a few zones, and their looks come every few
/// seconds. A delegation that was just mended is seen after it.
const KEPT: Duration = Duration::from_secs(30);
/// Zones that are kept.
const KEPT_MAX: usize = 4_096;
/// Names of which it is kept in which zone they are.
const KEPT_NAMES_MAX: usize = 16_384;
/// Questions under way at once, over all looks.
const QUESTIONS_MAX: usize = 512;

/// A zone and all of its servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delegation {
    pub(super) zone: Name,
    /// The NS set of the zone above; none where it could not be asked.
    pub(super) parent: Option<BTreeSet<Name>>,
    /// The zone's own NS set; none where no server speaks for it.
    pub(super) child: Option<BTreeSet<Name>>,
    /// Every server that either names, with its addresses: none where the name leads nowhere.
    pub(super) servers: BTreeMap<Name, Vec<IpAddr>>,
}

/// Why there is no zone to ask.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum DelegationFault {
    #[error("the domain {zone} is not registered, or was taken out of DNS: the zone above does not know it")]
    NotRegistered { zone: Name },
    #[error("no zone holds {name}")]
    NoZone { name: Name },
    #[error("the name servers of {zone} cannot be found: {fault}")]
    Resolver {
        zone: Name,
        #[source]
        fault: ResolveFault,
    },
    #[error("more than {REFERRALS_MAX} zones stand between {zone} and the name")]
    TooDeep { zone: Name },
}

/// Why one address was not heard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ServerFault {
    #[error(transparent)]
    Refused(#[from] AddressRefusal),
    #[error(transparent)]
    Ask(#[from] AskFault),
    #[error("its name has no address")]
    NoAddress,
}

/// The servers that the zone above names for one below, and the addresses it knows of them (glue): those whose
/// names lie in the zone itself are found in no other way while it is broken.
#[derive(Debug, Clone, Default)]
struct Named {
    servers: BTreeSet<Name>,
    glue: BTreeMap<Name, Vec<IpAddr>>,
}

/// Finds zones' servers and asks them. One per process.
#[derive(Debug)]
pub(super) struct Servers {
    pub(super) resolver: Arc<NameResolver>,
    policy: Arc<AddressPolicy>,
    port: u16,
    patience: Patience,
    questions: Semaphore,
    kept: Mutex<HashMap<Name, (Instant, Arc<Delegation>)>>,
    /// The zone that holds each name.
    holders: Mutex<HashMap<Name, (Instant, Arc<Delegation>)>>,
}

impl Servers {
    pub(super) fn new(
        resolver: Arc<NameResolver>,
        policy: Arc<AddressPolicy>,
        port: u16,
        patience: Patience,
    ) -> Self {
        let questions = Semaphore::new(QUESTIONS_MAX);
        let (kept, holders) = (Mutex::default(), Mutex::default());
        Self { resolver, policy, port, patience, questions, kept, holders }
    }

    /// Asks one address of an authoritative server. `None` as transport: UDP, and TCP where that is too small.
    pub(super) async fn ask(
        &self,
        address: IpAddr,
        name: &Name,
        record_type: RecordType,
        transport: Option<Transport>,
    ) -> Result<Message, ServerFault> {
        self.policy.check_reachable(address)?;
        // Closed never: it lives as long as we do.
        let _place = self.questions.acquire().await.map_err(|_| AskFault::Silent)?;
        let (server, patience) = (SocketAddr::new(address, self.port), self.patience);
        let answer = match transport {
            None => question::ask(server, name, record_type, Manner::Directly, patience).await,
            Some(transport) => {
                question::ask_over(transport, server, name, record_type, Manner::Directly, patience).await
            }
        };
        Ok(answer?)
    }

    /// The topmost zone that may hold the name: that of its registered domain, or what stands above it.
    pub(super) async fn topmost(&self, name: &Name) -> Result<Arc<Delegation>, DelegationFault> {
        let mut zone = absolute(delegated_domain(&canonical(name)))
            .ok_or_else(|| DelegationFault::NoZone { name: name.clone() })?;
        loop {
            if let Some(kept) = kept(&self.kept, &zone) {
                return Ok(kept);
            }
            match self.resolver.name_servers(&zone).await {
                Ok(servers) if !servers.is_empty() => return self.survey(&zone, servers).await,
                Ok(_) if zone.num_labels() > 1 => zone = zone.base_name(),
                Ok(_) => return Err(DelegationFault::NoZone { name: name.clone() }),
                Err(ResolveFault::Nxdomain) => return Err(DelegationFault::NotRegistered { zone }),
                // The zone above may know its servers although none of them speaks.
                Err(fault @ (ResolveFault::Servfail(_) | ResolveFault::Timeout)) => {
                    let found = self.survey(&zone, Vec::new()).await?;
                    return if found.servers.is_empty() {
                        Err(DelegationFault::Resolver { zone, fault })
                    } else {
                        Ok(found)
                    };
                }
                Err(fault) => return Err(DelegationFault::Resolver { zone, fault }),
            }
        }
    }

    /// The zone that holds the name: `from` or one below it that its servers refer to.
    pub(super) async fn holding(&self, name: &Name) -> Result<Arc<Delegation>, DelegationFault> {
        if let Some(kept) = kept(&self.holders, name) {
            return Ok(kept);
        }
        let mut at = self.topmost(name).await?;
        for _ in 0..REFERRALS_MAX {
            // Where nobody speaks for the zone, nobody refers to one below.
            if at.child.is_none() {
                return Ok(at);
            }
            let Some((zone, named)) = self.cut_below(&at, name).await else {
                keep(&self.holders, KEPT_NAMES_MAX, name, &at);
                return Ok(at);
            };
            at = match kept(&self.kept, &zone) {
                Some(kept) => kept,
                None => self.describe(zone, Some(named), Vec::new()).await,
            };
        }
        Err(DelegationFault::TooDeep { zone: at.zone.clone() })
    }

    /// The next zone on the way down: one that a server refers to, or that it speaks for as well.
    async fn cut_below(&self, at: &Delegation, name: &Name) -> Option<(Name, Named)> {
        for address in at.addresses().take(PARENTS_MAX) {
            let Ok(answer) = self.ask(address, name, RecordType::SOA, None).await else { continue };
            let below = |zone: &Name| at.zone.zone_of(zone) && zone.zone_of(name) && at.zone != *zone;
            if let Some(found) = referral(&answer).filter(|(zone, _)| below(zone)) {
                return Some(found);
            }
            if !answer.metadata.authoritative {
                continue;
            }
            let records = answer.answers.iter().chain(&answer.authorities);
            let apex =
                records.filter(|record| record.record_type() == RecordType::SOA).map(|record| &record.name);
            let apex = apex.into_iter().find(|apex| below(apex)).cloned()?;
            let own = self.ask(address, &apex, RecordType::NS, None).await;
            return own.ok().map(|answer| (apex.clone(), Named::in_answer(&answer, &apex)));
        }
        None
    }

    async fn survey(&self, zone: &Name, servers: Vec<Name>) -> Result<Arc<Delegation>, DelegationFault> {
        let parent = self.by_parent(zone).await?;
        Ok(self.describe(zone.clone(), parent, servers).await)
    }

    /// All there is to know, from what the zone above says and what a resolver has heard.
    async fn describe(&self, zone: Name, parent: Option<Named>, heard: Vec<Name>) -> Arc<Delegation> {
        let (mut servers, mut glue) = (BTreeMap::new(), BTreeMap::new());
        let parent = parent.map(|named| {
            glue = named.glue;
            named.servers
        });
        self.add_addresses(&mut servers, parent.iter().flatten().cloned().chain(heard)).await;
        for (name, addresses) in &mut servers {
            addresses.extend(glue.remove(name).into_iter().flatten());
            addresses.sort_unstable();
            addresses.dedup();
            addresses.truncate(ADDRESSES_MAX);
        }
        let mut found = Delegation { zone, parent, child: None, servers };
        for address in found.addresses().take(PARENTS_MAX).collect::<Vec<_>>() {
            let answer = self.ask(address, &found.zone, RecordType::NS, None).await;
            let own = answer.ok().filter(|answer| answer.metadata.authoritative);
            let own = own.map(|answer| name_servers_in(&answer, &found.zone)).filter(|own| !own.is_empty());
            if let Some(own) = own {
                self.add_addresses(&mut found.servers, own.iter().cloned()).await;
                found.child = Some(own);
                break;
            }
        }
        let found = Arc::new(found);
        keep(&self.kept, KEPT_MAX, &found.zone, &found);
        found
    }

    /// What the servers of the zone above say. None where they say nothing.
    async fn by_parent(&self, zone: &Name) -> Result<Option<Named>, DelegationFault> {
        let mut above = zone.base_name();
        let servers = loop {
            match self.resolver.name_servers(&above).await {
                Ok(servers) if !servers.is_empty() => break servers,
                Ok(_) if !above.is_root() => above = above.base_name(),
                Ok(_) | Err(_) => return Ok(None),
            }
        };
        for server in servers.into_iter().take(PARENTS_MAX) {
            let Ok(addresses) = self.resolver.lookup_name(&server.to_ascii()).await else { continue };
            let Some(address) = addresses.iter().next() else { continue };
            let Ok(answer) = self.ask(address, zone, RecordType::NS, None).await else { continue };
            let code = answer.metadata.response_code;
            if code == ResponseCode::NXDomain && answer.metadata.authoritative {
                return Err(DelegationFault::NotRegistered { zone: zone.clone() });
            }
            let named = match referral(&answer) {
                Some((of, named)) if of == *zone => named,
                _ => Named::in_answer(&answer, zone),
            };
            if !named.servers.is_empty() {
                return Ok(Some(named));
            }
        }
        Ok(None)
    }

    async fn add_addresses(
        &self,
        servers: &mut BTreeMap<Name, Vec<IpAddr>>,
        names: impl Iterator<Item = Name>,
    ) {
        let new: BTreeSet<Name> = names.filter(|name| !servers.contains_key(name)).collect();
        let room = SERVERS_MAX.saturating_sub(servers.len());
        let found = new.into_iter().take(room).map(|name| async move {
            let addresses = self.resolver.lookup_name(&name.to_ascii()).await;
            let addresses = addresses.map(|found| found.iter().take(ADDRESSES_MAX).collect());
            (name, addresses.unwrap_or_default())
        });
        servers.extend(join_all(found).await);
    }
}

fn kept(of: &Mutex<HashMap<Name, (Instant, Arc<Delegation>)>>, name: &Name) -> Option<Arc<Delegation>> {
    let kept = of.lock().unwrap_or_else(PoisonError::into_inner);
    kept.get(name).filter(|(at, _)| at.elapsed() < KEPT).map(|(_, found)| Arc::clone(found))
}

/// Only what is whole: a zone that nobody speaks for is looked for again.
fn keep(
    of: &Mutex<HashMap<Name, (Instant, Arc<Delegation>)>>,
    most: usize,
    name: &Name,
    found: &Arc<Delegation>,
) {
    if found.child.is_none() {
        return;
    }
    let mut kept = of.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= most {
        kept.retain(|_, (at, _)| at.elapsed() < KEPT);
    }
    if kept.len() < most {
        kept.insert(name.clone(), (Instant::now(), Arc::clone(found)));
    }
}

impl Delegation {
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.servers.values().flatten().copied()
    }

    /// What the zone above and the zone itself say differently, in a sentence.
    pub(super) fn difference(&self) -> Option<String> {
        let (parent, child) = (self.parent.as_ref()?, self.child.as_ref()?);
        let only = |one: &BTreeSet<Name>, other: &BTreeSet<Name>| {
            one.difference(other).map(canonical).collect::<Vec<_>>().join(", ")
        };
        let parts: Vec<String> = [
            (only(parent, child), "only the zone above names"),
            (only(child, parent), "only the zone itself names"),
        ]
        .into_iter()
        .filter(|(names, _)| !names.is_empty())
        .map(|(names, who)| format!("{who} {names}"))
        .collect();
        (!parts.is_empty())
            .then(|| format!("the NS records of {} differ: {}", canonical(&self.zone), parts.join("; ")))
    }
}

/// A referral: no answer, not authoritative, and NS records of a zone further down (RFC 1034 §4.3.2).
fn referral(answer: &Message) -> Option<(Name, Named)> {
    let refers = answer.metadata.response_code == ResponseCode::NoError
        && !answer.metadata.authoritative
        && answer.answers.is_empty();
    let zone = &answer.authorities.iter().find(|record| record.record_type() == RecordType::NS)?.name;
    refers.then(|| (zone.clone(), Named::in_answer(answer, zone)))
}

impl Named {
    fn in_answer(answer: &Message, zone: &Name) -> Self {
        let mut named = Self { servers: name_servers_in(answer, zone), ..Self::default() };
        for record in &answer.additionals {
            let (server, address) = (record.name.to_lowercase(), record.data.ip_addr());
            if let Some(address) = address.filter(|_| named.servers.contains(&server)) {
                named.glue.entry(server).or_default().push(address);
            }
        }
        named
    }
}

fn name_servers_in(answer: &Message, zone: &Name) -> BTreeSet<Name> {
    let records = answer.answers.iter().chain(&answer.authorities).filter(|record| record.name == *zone);
    let servers = records.filter_map(|record| match &record.data {
        RData::NS(server) => Some(server.0.to_lowercase()),
        _ => None,
    });
    servers.collect()
}

/// Lower case, without the trailing dot.
pub(super) fn canonical(name: &Name) -> String {
    let text = name.to_lowercase().to_ascii();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}

pub(super) fn absolute(name: &str) -> Option<Name> {
    let mut name = Name::from_ascii(name).ok()?;
    name.set_fqdn(true);
    Some(name)
}
