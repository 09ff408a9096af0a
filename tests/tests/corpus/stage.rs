//! Builds topologies on loopback, and has the service take an order for each.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use issuance::check::Outcome;
use issuance::fault::FailureClass;
use issuance::identifier::Hostname;
use lockkeeper::app::App;
use lockkeeper::store::explanations::HostnameView;
use lockkeeper_tests::settings::{FarmNode, Settings};
use lockkeeper_tests::world::{Plan, World, hostname};
use rehearsal::fleet::{Caa, ServerFault, Site, ZonePlan};
use tokio::net::{TcpListener, TcpSocket};

use crate::conduct::{Conduct, serve};
use crate::daemons::{self, Daemon};
use crate::topology::{Cause, Part, Topology};

const WITHIN: Duration = Duration::from_mins(2);
/// Long enough for a busy machine; what is waited out is waited out side by side.
const PROBE_MS: u32 = 10_000;
/// Web servers of topologies stand at 127.0.1.20 and up.
const FIRST_ADDRESS: u8 = 20;
/// A lag that no test outlives.
const NEVER: Duration = Duration::from_hours(24 * 365);

/// The fleet's authoritative servers, by number. Those up to 3 are well.
pub(crate) mod server {
    pub(crate) const REFUSES: u8 = 4;
    pub(crate) const SERVFAIL: u8 = 5;
    pub(crate) const SILENT: u8 = 6;
    pub(crate) const NO_AUTHORITY: u8 = 7;
    pub(crate) const UDP_TOO_SMALL: u8 = 8;
    pub(crate) const OTHER_OVER_TCP: u8 = 9;
    pub(crate) const NO_TCP: u8 = 10;
    pub(super) const ALL: u8 = 10;
}

/// What came of one topology.
#[derive(Debug)]
pub(crate) struct Found {
    /// The first finding that is not as it should be.
    pub(crate) cause: Option<Cause>,
    pub(crate) issued: bool,
    /// What a user reads, for a table that is wrong.
    pub(crate) told: String,
}

/// A world with topologies in it.
pub(crate) struct Stage {
    pub(crate) world: World,
    app: App,
    _daemons: Vec<Daemon>,
    /// Ports that are taken and at which nobody listens.
    _closed: Vec<TcpSocket>,
}

/// Where each part of each topology stands, in the order of the parts.
struct Places {
    address: BTreeMap<(usize, usize), IpAddr>,
    nodes: BTreeMap<(usize, usize), Vec<SocketAddr>>,
}

impl Stage {
    /// `dns`: whom the CA and the service ask in place of the fleet.
    pub(crate) async fn build(topologies: &[Topology], dns: Option<SocketAddr>) -> anyhow::Result<Self> {
        // Known once there is one.
        let responder = Arc::<OnceLock<SocketAddr>>::default();
        let (places, declared, closed) = nodes_of(topologies, &responder).await?;
        let settings = Settings {
            nodes: declared,
            permits: 32,
            // As the product's own: what is silent in every way takes its time.
            lease_seconds: 120,
            probe_ms: PROBE_MS,
            hosting: &["::1"],
            https_port: Some(free_port().await?),
            more: provider_of(topologies)?,
            ..Settings::default()
        };
        let plan = Plan { settings, dns, name_servers: server::ALL, ..Plan::new(Vec::new()) };
        let world = World::start(plan).await?;
        let app = world.service("one").await?;
        let listens = app.endpoints.responder.context("it plays the role")?;
        responder.get_or_init(|| listens);
        for (number, fault) in [
            (server::REFUSES, ServerFault::Refused),
            (server::SERVFAIL, ServerFault::Servfail),
            (server::SILENT, ServerFault::Silent),
            (server::NO_AUTHORITY, ServerFault::NotAuthoritative),
            (server::UDP_TOO_SMALL, ServerFault::TruncatesWithoutTcp),
            (server::OTHER_OVER_TCP, ServerFault::OtherOverTcp),
            (server::NO_TCP, ServerFault::NoTcp),
        ] {
            world.fleet.set_server_fault(number, Some(fault));
        }
        let mut account = None;
        world
            .wait_until("the service has an account", WITHIN, async || {
                let record = world.store.account_of_directory(&world.ca.directory_url()).await?;
                account = record.and_then(|record| record.account_url);
                Ok(account.is_some())
            })
            .await?;
        let account = account.context("it was waited for")?;
        for (place, topology) in topologies.iter().enumerate() {
            enter(&world, topology, place, &places, &account);
        }
        let daemons = start_web_servers(&world, topologies, &places, &responder).await?;
        Ok(Self { world, app, _daemons: daemons, _closed: closed })
    }

    /// Orders every name, waits until all rest, and reads what is told of each.
    pub(crate) async fn order(&self, topologies: &[Topology]) -> anyhow::Result<Vec<Found>> {
        let mut csv = String::from("tenant,external_id,names,challenge,labels\n");
        for (place, topology) in topologies.iter().enumerate() {
            let challenge = if topology.name.starts_with("*.") { "dns-01" } else { "http-01" };
            writeln!(csv, "tenant-{},site-{place},{},{challenge},", place / 10, topology.name)?;
        }
        let report = self.world.import_into("one", &self.app, csv).await?;
        ensure!(report.rows_refused == 0, "{report:?}");
        self.world.wait_until_done(WITHIN).await?;
        let api = self.world.client("one", &self.app)?;
        let mut found = Vec::new();
        for topology in topologies {
            let path = format!("/v1/hostnames/{}", topology.name);
            let mut view = None;
            // Findings are written behind the orders.
            self.world
                .wait_until("it was checked", WITHIN, async || {
                    view = Some(api.get::<HostnameView>(&path).await?);
                    Ok(view.as_ref().is_some_and(|view| view.verdict.is_some()))
                })
                .await?;
            let view = view.context("it was read")?;
            let (stage, fault) = self.world.fate_of(&[topology.name]).await?;
            found.push(read(&view, &stage, fault.as_deref()));
        }
        Ok(found)
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.app.stop().await?;
        self.world.stop().await
    }
}

/// What a user reads first. Of a name that is parked, the order must say the same.
fn read(view: &HostnameView, stage: &str, fault: Option<&str>) -> Found {
    let first = view.checks.iter().find(|one| one.finding.outcome != Outcome::Passed);
    let cause = first.and_then(|one| {
        let class = one.finding.class.unwrap_or(FailureClass::Internal);
        Some(Cause { check: one.finding.check, class })
            .filter(|cause| fault.is_none_or(|fault| fault == cause.class.as_str()))
    });
    let told = match first {
        Some(one) => format!("{} ({stage}, {})", one.finding.observed, fault.unwrap_or("no fault")),
        None => format!("{stage}, {}", fault.unwrap_or("no fault")),
    };
    Found { cause, issued: stage == "issued", told }
}

/// Addresses for the web servers of each topology, and the nodes of its load balancers, which are there already.
async fn nodes_of(
    topologies: &[Topology],
    responder: &Arc<OnceLock<SocketAddr>>,
) -> anyhow::Result<(Places, Vec<FarmNode>, Vec<TcpSocket>)> {
    let mut places = Places { address: BTreeMap::new(), nodes: BTreeMap::new() };
    let (mut declared, mut closed) = (Vec::new(), Vec::new());
    let mut last = FIRST_ADDRESS;
    for (place, topology) in topologies.iter().enumerate() {
        for (part_place, part) in topology.parts.iter().enumerate() {
            if !matches!(part, Part::Web(_) | Part::Nginx(_) | Part::Balancer(_)) {
                continue;
            }
            let address = IpAddr::V4(Ipv4Addr::new(127, 0, 1, last));
            last = last.checked_add(1).filter(|last| *last < 250).context("too many web servers")?;
            places.address.insert((place, part_place), address);
            let Part::Balancer(nodes) = part else { continue };
            for (name, conduct) in *nodes {
                let node = if *conduct == Conduct::Closed {
                    let socket = TcpSocket::new_v4()?;
                    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
                    let at = socket.local_addr()?;
                    closed.push(socket);
                    at
                } else {
                    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                    let at = listener.local_addr()?;
                    serve(listener, *conduct, Arc::clone(responder));
                    at
                };
                places.nodes.entry((place, part_place)).or_default().push(node);
                let name = format!("{name}.{}", topology.name);
                declared.push(FarmNode { name, address: node, behind: vec![address.to_string()] });
            }
        }
    }
    Ok((places, declared, closed))
}

/// Somebody who could write the challenge records of wildcards, were it allowed.
fn provider_of(topologies: &[Topology]) -> anyhow::Result<String> {
    let zones: Vec<&str> =
        topologies.iter().filter_map(|topology| topology.name.strip_prefix("*.")).collect();
    let mut text = String::new();
    if !zones.is_empty() {
        write!(
            text,
            "[[dns01.provider]]\nname = \"script\"\ntype = \"exec\"\nzones = {zones:?}\nprogram = \"/bin/false\"\n"
        )?;
    }
    Ok(text)
}

/// Everything that DNS says of a topology.
fn enter(world: &World, topology: &Topology, place: usize, places: &Places, account: &str) {
    let fleet = &world.fleet;
    let name = topology.name.trim_start_matches("*.");
    let host = Hostname::parse(name.trim_start_matches("_acme-challenge.")).expect("a hostname");
    let is_gone = |part: &Part| matches!(part, Part::Unregistered);
    if topology.parts.iter().any(is_gone) {
        return;
    }
    // The ordinary case: two servers, which both sides name.
    fleet.set_zone(host.registered_domain(), ZonePlan::of(&[1, 2]));
    if !topology.parts.iter().any(|part| matches!(part, Part::Absent)) && !name.starts_with('_') {
        fleet.add(&Site::healthy(vec![host.clone()]));
    }
    let mut addresses = Vec::new();
    let mut caa: BTreeMap<&str, Vec<Caa>> = BTreeMap::new();
    for (part_place, part) in topology.parts.iter().enumerate() {
        match part {
            Part::At(address) => addresses.push(address.parse().expect("an address")),
            Part::Web(_) | Part::Nginx(_) | Part::Balancer(_) => {
                addresses.push(places.address[&(place, part_place)]);
            }
            Part::Fault(fault) => fleet.set_fault(&host, Some(*fault)),
            Part::Absent | Part::Unregistered => {}
            Part::Alias(from, to) => fleet.set_cname(from, Some(to)),
            Part::Chain(from, links) => {
                let mut from = (*from).to_owned();
                for link in 1..=*links {
                    let to = format!("n{link}.chain-of-{}", host.registered_domain());
                    fleet.set_cname(&from, Some(&to));
                    from = to;
                }
                fleet.add(&Site::healthy(vec![hostname(&from)]));
            }
            Part::Also(name) => fleet.add(&Site::healthy(vec![hostname(name)])),
            Part::Other(name, address) => fleet.set_addresses(name, &[address.parse().expect("an address")]),
            Part::Caa(at, critical, tag, value) => caa.entry(at).or_default().push(Caa {
                critical: *critical,
                tag: (*tag).to_owned(),
                value: value.replace("{account}", account),
            }),
            Part::CaaFault(at, fault) => fleet.set_caa_fault(at, Some(*fault)),
            Part::Zone(zone, parent, child, servers_in) => fleet.set_zone(
                zone,
                ZonePlan {
                    child: child.to_vec(),
                    servers_in: servers_in.map(str::to_owned),
                    ..ZonePlan::of(parent)
                },
            ),
            Part::Txt(name, shown) => publish(world, name, shown),
            Part::Dname(from, to) => fleet.set_dname(from, Some(to)),
        }
    }
    for (at, records) in caa {
        fleet.set_caa(at, &records);
    }
    if !addresses.is_empty() {
        fleet.set_addresses(name, &addresses);
    }
}

/// The first servers show the last of the values, or go on showing those before for ever.
fn publish(world: &World, name: &str, shown: &[&[&str]]) {
    let fleet = &world.fleet;
    match shown {
        [all] => fleet.set_txt(name, all),
        [first, behind] => {
            fleet.set_txt(name, behind);
            fleet.publish_txt(name, first, &[Duration::ZERO, NEVER]);
        }
        _ => panic!("{name}: two servers at the most show different values"),
    }
}

async fn start_web_servers(
    world: &World,
    topologies: &[Topology],
    places: &Places,
    responder: &Arc<OnceLock<SocketAddr>>,
) -> anyhow::Result<Vec<Daemon>> {
    let port = world.fleet.http_port();
    let tls_port = world.settings.https_port.context("it was chosen")?;
    let listens_at = responder.get().context("it was set")?.to_string();
    let (mut servers, mut listens, mut farms) = (String::new(), Vec::new(), Vec::new());
    for (place, topology) in topologies.iter().enumerate() {
        for (part_place, part) in topology.parts.iter().enumerate() {
            let Some(address) = places.address.get(&(place, part_place)) else { continue };
            let at = SocketAddr::new(*address, port);
            match part {
                Part::Web(conduct) => serve(TcpListener::bind(at).await?, *conduct, Arc::clone(responder)),
                Part::Nginx(text) => {
                    let tls = SocketAddr::new(*address, tls_port).to_string();
                    let text = text.replace("{at}", &at.to_string()).replace("{tls}", &tls);
                    writeln!(servers, "{}", text.replace("{responder}", &listens_at))?;
                    listens.push(at);
                }
                Part::Balancer(_) => farms.push((at, places.nodes[&(place, part_place)].clone())),
                _ => {}
            }
        }
    }
    let mut daemons = Vec::new();
    if !listens.is_empty() {
        daemons.push(daemons::nginx(&servers, &listens).await?);
    }
    if !farms.is_empty() {
        daemons.push(daemons::haproxy(&farms).await?);
    }
    // One address of IPv6 is all that loopback has: a web server of the fleet, which knows every name.
    if world.fleet.has_ipv6() {
        let listener = TcpListener::bind((std::net::Ipv6Addr::LOCALHOST, port)).await?;
        serve(listener, Conduct::Forward, Arc::clone(responder));
    }
    Ok(daemons)
}

/// Free on 127.0.0.1 now, and below the ports that the kernel gives away.
async fn free_port() -> anyhow::Result<u16> {
    for _ in 0..100 {
        let port = rand::random_range(10_000..32_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no port is free")
}
