//! A fake fleet: DNS and web servers on loopback, for any number of names, each broken as the script says.
//!
//! ```text
//!   CA, resolver ──DNS──▶ dns ──▶ answer ──▶ zone ◀── set_fault, set_txt, hits
//!   CA, prober ──HTTP──▶ web ───────────────▶ zone
//!                         └── /.well-known/acme-challenge/* ──▶ forward ──▶ the responder under test
//! ```
//!
//! Each web server has its own address, 127.0.1.1 and up, and all share one port. What a name does wrong
//! is a [`Fault`], which may be set and lifted while everything runs; the next question or request
//! already sees it.

mod answer;
mod authority;
mod dns;
mod fault;
mod firewall;
mod forward;
mod hits;
mod names;
mod plan;
mod port;
mod site;
#[cfg(test)]
mod tests;
mod web;
mod zone;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use issuance::identifier::Hostname;
use issuance::time::Clock;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use self::authority::{ServerFault, ZonePlan};
pub use self::fault::{Fault, PROBE_TOKEN_PREFIX};
pub use self::hits::{DnsReply, Hits, HttpReply};
pub use self::plan::{DemoFleet, DemoPlan, PlannedSite, plan};
pub use self::site::{Damage, Extent, Site};
pub use self::zone::{Caa, TypeFault, UnknownNames};

use self::authority::{Authority, Published};
use self::dns::DnsServer;
use self::firewall::Firewall;
use self::forward::Forwarder;
use self::web::{Owner, Web};
use self::zone::Zone;

/// Servers stand at 127.0.1.1, 127.0.1.2 and so on.
pub const SERVERS_MAX: u8 = 200;
/// Where [`Fault::ConnectTimeout`] points: in the fleet's range, and no connection comes about.
pub const FIREWALLED_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 253);
/// Where [`Fault::Refused`] points: in the fleet's range, and nothing listens there.
pub const REFUSING_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 254);
/// Where [`Fault::WrongAddress`] points: outside the fleet's range, a stranger's server.
pub const STRANGER_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 66, 6);

/// What a fleet is made of.
#[derive(Debug, Clone)]
pub struct FleetConfig {
    /// Web servers, each with its own address; between 1 and [`SERVERS_MAX`].
    pub servers: u8,
    /// The port of all web servers. `None`: one that is free on all their addresses and on 127.0.0.1.
    pub http_port: Option<u16>,
    /// UDP and TCP; port 0 takes a free one.
    pub dns: SocketAddr,
    /// Where web servers forward challenge requests to, the Host header kept.
    pub responder: SocketAddr,
    pub sites: Vec<Site>,
    pub unknown_names: UnknownNames,
    /// Of every record and of negative answers, in seconds. With 0 no resolver keeps an answer, so a fault
    /// set at run time is seen at once.
    pub ttl_seconds: u32,
    /// Authoritative servers, at 127.0.1.1 and up on the port of `dns`, which then plays the resolver, and for
    /// questions without recursion the registry. 0: the one DNS server plays all parts.
    pub name_servers: u8,
    /// By which servers are behind; none: none ever is.
    pub clock: Option<Arc<dyn Clock>>,
}

impl FleetConfig {
    /// Four servers, free ports, no sites, unknown names refused, nothing cached, one DNS server.
    pub fn new(responder: SocketAddr) -> Self {
        Self {
            servers: 4,
            http_port: None,
            dns: (Ipv4Addr::LOCALHOST, 0).into(),
            responder,
            sites: Vec::new(),
            unknown_names: UnknownNames::Refuse,
            ttl_seconds: 0,
            name_servers: 0,
            clock: None,
        }
    }
}

/// Why a fleet did not start.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    #[error("a fleet has between 1 and {SERVERS_MAX} web servers, not {servers}")]
    Servers { servers: u8 },
    #[error("the fleet listens on loopback only, not on {address}")]
    NotLoopback { address: SocketAddr },
    #[error("could not listen on {address}")]
    Bind {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
}

/// A running fleet. Dropped, it stops.
pub struct Fleet {
    zone: Arc<Zone>,
    web: Arc<Web>,
    dns_addr: SocketAddr,
    http_port: u16,
    servers: Vec<Ipv4Addr>,
    has_ipv6: bool,
    _firewall: Firewall,
    tasks: TaskTracker,
    stop: DropGuard,
}

impl Fleet {
    /// Binds every socket and serves until [`stop`](Self::stop) or drop.
    pub async fn start(config: FleetConfig) -> Result<Self, FleetError> {
        if !(1..=SERVERS_MAX).contains(&config.servers) {
            return Err(FleetError::Servers { servers: config.servers });
        }
        for address in [config.dns, config.responder] {
            if !address.ip().is_loopback() {
                return Err(FleetError::NotLoopback { address });
            }
        }
        let servers: Vec<_> = (1..=config.servers).map(|last| Ipv4Addr::new(127, 0, 1, last)).collect();
        let listening: Vec<_> = servers.iter().copied().chain([STRANGER_ADDRESS]).collect();
        let (http_port, listeners) = port::bind_all(&listening, config.http_port).await?;
        let firewalled = (FIREWALLED_ADDRESS, http_port).into();
        let firewall = Firewall::raise(firewalled)
            .await
            .map_err(|source| FleetError::Bind { address: firewalled, source })?;
        let (dns, name_servers) = DnsServer::bind_all(config.dns, config.name_servers)
            .await
            .map_err(|source| FleetError::Bind { address: config.dns, source })?;
        let dns_addr = dns.address();

        let authority = Authority::new(config.name_servers, config.clock);
        let zone = Arc::new(Zone::new(
            servers.clone(),
            &config.sites,
            config.unknown_names,
            config.ttl_seconds,
            authority,
        ));
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        for server in name_servers.into_iter().chain([dns]) {
            server.spawn(&zone, &tasks, &stop);
        }
        let forwarder = Forwarder::new(config.responder);
        let web = Web::new(Arc::clone(&zone), forwarder, tasks.clone(), stop.clone());
        for (listener, address) in listeners.into_iter().zip(listening) {
            web.spawn(listener, if address == STRANGER_ADDRESS { Owner::Stranger } else { Owner::Fleet });
        }
        tasks.close();
        let has_ipv6 = port::has_ipv6().await;
        Ok(Self {
            zone,
            web,
            dns_addr,
            http_port,
            servers,
            has_ipv6,
            _firewall: firewall,
            tasks,
            stop: stop.drop_guard(),
        })
    }

    /// The DNS server's address, UDP and TCP.
    pub fn dns_addr(&self) -> SocketAddr {
        self.dns_addr
    }

    pub fn http_port(&self) -> u16 {
        self.http_port
    }

    /// The web servers' addresses. [`STRANGER_ADDRESS`] is not among them.
    pub fn server_addresses(&self) -> &[Ipv4Addr] {
        &self.servers
    }

    /// Whether `[::1]` exists here, and so [`Fault::DeadIpv6`] means something.
    pub fn has_ipv6(&self) -> bool {
        self.has_ipv6
    }

    /// From now on challenge requests go there, for responders whose port is known late or changes.
    pub fn set_responder(&self, responder: SocketAddr) {
        self.web.set_responder(responder);
    }

    /// Adds a site; names that are there already keep their server and their counts, and take the site's
    /// fault.
    pub fn add(&self, site: &Site) {
        self.zone.add(site);
    }

    /// The name leads to a web server at that address from now on, which may be none of the fleet's: a real one, on the
    /// fleet's port. It is a healthy name that nobody has asked for yet.
    pub fn set_address(&self, name: &Hostname, address: Ipv4Addr) {
        self.zone.set_address(name, address);
    }

    /// Breaks a name or heals it. A name that no site has joins the fleet on its first server.
    pub fn set_fault(&self, name: &Hostname, fault: Option<Fault>) {
        self.zone.set_fault(name, fault);
    }

    pub fn set_fault_for_all(&self, fault: Option<Fault>) {
        self.zone.set_fault_for_all(fault);
    }

    /// The TXT records of any name, such as `_acme-challenge.example.com`; none takes them away.
    pub fn set_txt(&self, name: &str, values: &[&str]) {
        let values = values.iter().map(|&value| value.to_owned()).collect();
        self.zone.update_records(name, |records| records.txt = Published::at_once(values));
    }

    /// As [`set_txt`](Self::set_txt), where each server shows the change so long from now by the fleet's clock:
    /// the first lag is that of server 1. Further lags are of machines behind an address that shows it earlier.
    /// A CA may ask any of them.
    pub fn publish_txt(&self, name: &str, values: &[&str], lags: &[Duration]) {
        let values = values.iter().map(|&value| value.to_owned()).collect();
        let now = self.zone.authority.now();
        self.zone.update_records(name, |records| {
            records.txt = std::mem::take(&mut records.txt).lagging(values, now, lags);
        });
    }

    /// Questions about the name that the resolver was asked while its TXT record was not everywhere yet. Each may
    /// have a resolver remember that there is none.
    pub fn early_questions(&self, name: &str) -> u64 {
        self.zone.authority.early_questions(&zone::canonical(name))
    }

    /// How a zone is delegated. One that lies in another zone is cut out of it.
    pub fn set_zone(&self, zone: &str, plan: ZonePlan) {
        let zone = zone::canonical(zone);
        if let Some(domain) = &plan.servers_in {
            self.zone.add_apex(&zone::canonical(domain));
        }
        self.zone.add_apex(&zone);
        self.zone.authority.set_plan(&zone, plan);
    }

    /// Breaks an authoritative server, by its number from 1, or mends it.
    pub fn set_server_fault(&self, number: u8, fault: Option<ServerFault>) {
        self.zone.authority.set_fault(number, fault);
    }

    /// Makes the names below one aliases of the same names below another (RFC 6672), or their own again.
    pub fn set_dname(&self, name: &str, target: Option<&str>) {
        let target = target.map(|target| zone::canonical(target).into());
        self.zone.update_records(name, |records| records.dname = target);
    }

    /// The CAA records of any name; none takes them away.
    pub fn set_caa(&self, name: &str, values: &[Caa]) {
        self.zone.update_records(name, |records| records.caa = values.to_vec());
    }

    /// How questions for the CAA records of a name fail, while others are answered; none: they do not.
    pub fn set_caa_fault(&self, name: &str, fault: Option<TypeFault>) {
        self.zone.update_records(name, |records| records.caa_fault = fault);
    }

    /// The A and AAAA records of any name, whoever hosts it; none: those of its server again.
    pub fn set_addresses(&self, name: &str, addresses: &[IpAddr]) {
        self.zone.update_records(name, |records| records.addresses = addresses.to_vec());
    }

    /// Makes a name an alias of another, or its own again.
    pub fn set_cname(&self, name: &str, target: Option<&str>) {
        let target = target.map(|target| zone::canonical(target).into());
        self.zone.update_records(name, |records| records.cname = target);
    }

    /// Who asked for the name; nobody, for a name the fleet has not met.
    pub fn hits(&self, name: &Hostname) -> Hits {
        self.zone.hits(name)
    }

    /// Waits until what was asked for the name is enough, such as `|hits| hits.http == 2`.
    ///
    /// Does not give up by itself: put a deadline around it.
    pub async fn wait_for(&self, name: &Hostname, enough: impl Fn(&Hits) -> bool) -> Hits {
        loop {
            // Before the look, so that a hit in between still wakes us.
            let next_hit = self.zone.next_hit();
            let hits = self.hits(name);
            if enough(&hits) {
                return hits;
            }
            next_hit.await;
        }
    }

    /// Closes every socket and waits until the last task is gone.
    pub async fn stop(self) {
        drop(self.stop);
        self.tasks.wait().await;
    }
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet")
            .field("dns_addr", &self.dns_addr)
            .field("http_port", &self.http_port)
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}
