//! What the world knows of each name: its address, its records, its fault, and who asked.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use issuance::identifier::Hostname;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use super::authority::{Authority, Published};
use super::fault::Fault;
use super::hits::{DnsReply, Hits, HttpReply};
use super::site::Site;

/// What becomes of a name that no site has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownNames {
    /// It does not exist: NXDOMAIN, and 404 from the web servers.
    #[default]
    Refuse,
    /// Every good hostname is a healthy site of its own: for benches and load.
    Healthy,
}

/// A CAA record (RFC 8659 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caa {
    /// A CA that does not know the tag must refuse.
    pub critical: bool,
    /// `issue`, `issuewild`, `iodef` or one that no CA knows.
    pub tag: String,
    pub value: String,
}

/// How servers fail for questions of one type, and answer all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TypeFault {
    Servfail,
    NotImplemented,
    /// As a firewall does that knows few types.
    Silence,
}

/// Records set at run time.
#[derive(Debug, Clone, Default)]
pub(super) struct Records {
    pub(super) cname: Option<Box<str>>,
    /// Where the names below this one are found instead (RFC 6672).
    pub(super) dname: Option<Box<str>>,
    pub(super) txt: Published,
    pub(super) caa: Vec<Caa>,
    /// In place of the answer to questions for CAA.
    pub(super) caa_fault: Option<TypeFault>,
    /// In place of the address of the server that hosts the name.
    pub(super) addresses: Vec<IpAddr>,
}

impl Records {
    fn is_empty(&self) -> bool {
        self.cname.is_none()
            && self.dname.is_none()
            && self.txt.is_nothing()
            && self.caa.is_empty()
            && self.caa_fault.is_none()
            && self.addresses.is_empty()
    }
}

/// A name that is served.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: Box<str>,
    pub(super) address: Ipv4Addr,
    condition: Mutex<Condition>,
    hit: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Condition {
    fault: Option<Fault>,
    requests_since_fault: u32,
    hits: Hits,
}

impl Host {
    pub(super) fn fault(&self) -> Option<Fault> {
        self.with_condition(|condition| condition.fault)
    }

    /// Counts a request and says what is wrong with the name at this moment: a fault that waits for its
    /// count is `None` before and [`Fault::NotFound`] after it.
    pub(super) fn take_request(&self) -> Option<Fault> {
        self.count(|condition| {
            condition.hits.http += 1;
            condition.requests_since_fault = condition.requests_since_fault.saturating_add(1);
            match condition.fault {
                Some(Fault::BreaksAfter(count)) => {
                    (condition.requests_since_fault > count).then_some(Fault::NotFound)
                }
                fault => fault,
            }
        })
    }

    pub(super) fn note_forwarded(&self) {
        self.count(|condition| condition.hits.forwarded += 1);
    }

    pub(super) fn note_http(&self, reply: HttpReply) {
        self.count(|condition| condition.hits.last_http = Some(reply));
    }

    pub(super) fn note_dns(&self, reply: DnsReply) {
        self.count(|condition| {
            condition.hits.dns += 1;
            condition.hits.last_dns = Some(reply);
        });
    }

    fn set_fault(&self, fault: Option<Fault>) {
        self.with_condition(|condition| {
            condition.fault = fault;
            condition.requests_since_fault = 0;
        });
    }

    fn count<T>(&self, change: impl FnOnce(&mut Condition) -> T) -> T {
        let outcome = self.with_condition(change);
        self.hit.notify_waiters();
        outcome
    }

    fn with_condition<T>(&self, look: impl FnOnce(&mut Condition) -> T) -> T {
        look(&mut self.condition.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// All names of the world. Cheap to share; every method takes a lock for a moment only.
#[derive(Debug)]
pub(super) struct Zone {
    servers: Vec<Ipv4Addr>,
    unknown_names: UnknownNames,
    /// Of every answer, in seconds.
    pub(super) ttl_seconds: u32,
    pub(super) authority: Authority,
    names: RwLock<Names>,
}

/// Keys are lower-case and without the trailing dot.
#[derive(Debug, Default)]
struct Names {
    hosts: HashMap<Box<str>, Arc<Host>>,
    records: HashMap<Box<str>, Records>,
    /// Registered domains, and what is delegated below them: each is a zone with SOA and NS.
    apexes: HashSet<Box<str>>,
    /// What stands above a known name exists too, without records (RFC 8020).
    above: HashSet<Box<str>>,
    /// Told of every hit on any host.
    hit: Arc<Notify>,
}

impl Zone {
    pub(super) fn new(
        servers: Vec<Ipv4Addr>,
        sites: &[Site],
        unknown_names: UnknownNames,
        ttl_seconds: u32,
        authority: Authority,
    ) -> Self {
        let zone = Self { servers, unknown_names, ttl_seconds, authority, names: RwLock::default() };
        for site in sites {
            zone.add(site);
        }
        zone
    }

    /// Adds a site; a name that is there already keeps its counts and takes the new fault.
    pub(super) fn add(&self, site: &Site) {
        let address = self.servers[usize::from(site.server) % self.servers.len()];
        let mut names = self.write();
        for (place, name) in site.names.iter().enumerate() {
            names.host(name, address).set_fault(site.fault_at(place));
        }
    }

    pub(super) fn set_address(&self, name: &Hostname, address: Ipv4Addr) {
        let mut names = self.write();
        names.hosts.remove(name.validation_target());
        names.host(name, address);
    }

    pub(super) fn set_fault(&self, name: &Hostname, fault: Option<Fault>) {
        self.write().host(name, self.servers[0]).set_fault(fault);
    }

    pub(super) fn set_fault_for_all(&self, fault: Option<Fault>) {
        for host in self.read().hosts.values() {
            host.set_fault(fault);
        }
    }

    pub(super) fn hits(&self, name: &Hostname) -> Hits {
        let names = self.read();
        let host = names.hosts.get(name.validation_target());
        host.map(|host| host.with_condition(|condition| condition.hits)).unwrap_or_default()
    }

    pub(super) fn next_hit(&self) -> OwnedNotified {
        Arc::clone(&self.read().hit).notified_owned()
    }

    pub(super) fn update_records(&self, name: &str, update: impl FnOnce(&mut Records)) {
        let name = canonical(name);
        let mut names = self.write();
        let records = names.records.entry(name.clone().into()).or_default();
        update(records);
        if records.is_empty() {
            names.records.remove(name.as_str());
            return;
        }
        names.note_above(&name);
        if let Ok(hostname) = Hostname::parse(without_underscores(&name)) {
            names.apexes.insert(hostname.registered_domain().into());
        }
    }

    pub(super) fn records(&self, name: &str) -> Option<Records> {
        self.read().records.get(name).cloned()
    }

    /// The host with this name; where unknown names are healthy, a good hostname becomes one.
    pub(super) fn host(&self, name: &str) -> Option<Arc<Host>> {
        if let Some(host) = self.read().hosts.get(name) {
            return Some(Arc::clone(host));
        }
        if self.unknown_names == UnknownNames::Refuse || self.is_name_server(name) {
            return None;
        }
        let hostname = Hostname::parse(name).ok()?;
        // Spread by the name alone, so that every run puts it on the same server.
        let place = name.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let address = self.servers[place % self.servers.len()];
        Some(Arc::clone(self.write().host(&hostname, address)))
    }

    /// Any name that is healthy now, other than this one.
    pub(super) fn healthy_name_beside(&self, name: &str) -> Option<Box<str>> {
        let names = self.read();
        let healthy = names.hosts.values().find(|host| &*host.name != name && host.fault().is_none());
        healthy.map(|host| host.name.clone())
    }

    /// The zone that holds the name, if it is one of ours.
    pub(super) fn apex_of<'name>(&self, name: &'name str) -> Option<&'name str> {
        let names = self.read();
        suffixes(name).find(|suffix| names.apexes.contains(*suffix))
    }

    /// All our zones that the name lies in, the innermost first.
    pub(super) fn apexes_of<'name>(&self, name: &'name str) -> Vec<&'name str> {
        let names = self.read();
        suffixes(name).filter(|suffix| names.apexes.contains(*suffix)).collect()
    }

    pub(super) fn add_apex(&self, zone: &str) {
        let mut names = self.write();
        names.apexes.insert(zone.into());
        names.note_above(zone);
    }

    /// The alias that a DNAME above the name makes of it.
    pub(super) fn dname_above<'name>(&self, name: &'name str) -> Option<(&'name str, String)> {
        let names = self.read();
        suffixes(name).skip(1).find_map(|owner| {
            let target = names.records.get(owner)?.dname.as_deref()?;
            Some((owner, format!("{}{target}", name.strip_suffix(owner)?)))
        })
    }

    /// The number of the server that the name is of.
    pub(super) fn name_server(&self, name: &str) -> Option<u8> {
        let (number, domain) = self.authority.server_in(name)?;
        self.read().apexes.contains(domain).then_some(number)
    }

    pub(super) fn is_name_server(&self, name: &str) -> bool {
        self.name_server(name).is_some()
    }

    pub(super) fn exists(&self, name: &str) -> bool {
        let names = self.read();
        names.hosts.contains_key(name)
            || names.records.contains_key(name)
            || names.apexes.contains(name)
            || names.above.contains(name)
    }

    fn read(&self) -> RwLockReadGuard<'_, Names> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Names> {
        self.names.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Names {
    fn host(&mut self, hostname: &Hostname, address: Ipv4Addr) -> &Arc<Host> {
        let name = hostname.validation_target();
        if !self.hosts.contains_key(name) {
            self.note_above(name);
            self.apexes.insert(hostname.registered_domain().into());
        }
        self.hosts.entry(name.into()).or_insert_with(|| {
            let (condition, hit) = (Mutex::default(), Arc::clone(&self.hit));
            Arc::new(Host { name: name.into(), address, condition, hit })
        })
    }

    fn note_above(&mut self, name: &str) {
        for suffix in suffixes(name).skip(1) {
            if !self.above.insert(suffix.into()) {
                break;
            }
        }
    }
}

/// The key of a name: lower case, without the trailing dot.
pub(super) fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// The host that answers for a name: labels with a leading underscore in front are taken off.
pub(super) fn without_underscores(name: &str) -> &str {
    suffixes(name).find(|suffix| !suffix.starts_with('_')).unwrap_or(name)
}

/// The name itself, then what is above it, label by label.
fn suffixes(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |rest| rest.split_once('.').map(|(_, above)| above))
}
