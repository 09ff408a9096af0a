//! The preflight and the responder against the fake fleet: every way a site can be broken ends in its cause.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use issuance::fault::FailureClass;
use issuance::identifier::Hostname;
use issuance::ids::OrderId;
use lockkeeper::challenge::address::AddressPolicy;
use lockkeeper::challenge::fetch::FetchConfig;
use lockkeeper::challenge::http01::{
    Board, Presented, Responder, ResponderConfig, Responses, ResponsesError,
};
use lockkeeper::challenge::preflight::{NameReport, Preflight, Verdict};
use lockkeeper::challenge::probe::ProbeSecret;
use lockkeeper::challenge::resolver::{NameResolver, ResolverConfig};
use rehearsal::fleet::{Fault, Fleet, FleetConfig, Site};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// Long enough for a busy machine; the faults that are waited out are few.
const DEADLINE: Duration = Duration::from_secs(2);
const TOKEN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";
const KEY_AUTHORIZATION: &str =
    "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ";

struct Shelf(HashMap<&'static str, &'static str>);

impl Responses for Shelf {
    fn look_up(&self, tokens: Vec<String>) -> BoxFuture<'_, Result<Vec<Presented>, ResponsesError>> {
        let found = tokens.into_iter().filter_map(|token| {
            let key_authorization = (*self.0.get(token.as_str())?).into();
            Some(Presented { order: OrderId(Uuid::nil()), token: token.into(), key_authorization })
        });
        let found: Vec<_> = found.collect();
        Box::pin(async move { Ok(found) })
    }
}

struct World {
    fleet: Fleet,
    preflight: Preflight,
    _responder: DropGuard,
}

impl World {
    async fn start(sites: Vec<Site>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a listener");
        let secret = ProbeSecret::new([7; 32]);
        let mut config = FleetConfig::new(listener.local_addr().expect("an address"));
        config.sites = sites;
        let fleet = Fleet::start(config).await.expect("a fleet");

        let stop = CancellationToken::new();
        let shelf = Arc::new(Shelf(HashMap::from([(TOKEN, KEY_AUTHORIZATION)])));
        let board = Arc::new(Board::new(shelf, 64));
        let responder = Responder::new(ResponderConfig::default(), board, secret.clone());
        tokio::spawn(responder.serve(listener, stop.clone()));

        let resolvers = ResolverConfig { servers: vec![fleet.dns_addr()], timeout: DEADLINE, attempts: 1 };
        let resolver = NameResolver::new(&resolvers).expect("a resolver");
        let block = |text: &str| text.parse().expect(text);
        let policy = AddressPolicy {
            allowed: vec![block("127.0.0.0/8"), block("::1")],
            expected: vec![block("127.0.1.0/24"), block("::1")],
        };
        let fetch =
            FetchConfig { http_port: fleet.http_port(), deadline: DEADLINE, ..FetchConfig::default() };
        let preflight = Preflight::new(&fetch, Arc::new(resolver), policy, secret).expect("a preflight");
        let preflight = preflight.with_authorities_at(fleet.dns_addr().port());
        Self { fleet, preflight, _responder: stop.drop_guard() }
    }
}

fn hostname(text: &str) -> Hostname {
    Hostname::parse(text).expect(text)
}

fn class_of(report: &NameReport) -> Option<FailureClass> {
    match report.verdict {
        Verdict::Ready => None,
        Verdict::NotReady { class, .. } => Some(class),
        Verdict::Unknown { .. } => panic!("{report:?}"),
    }
}

/// What the preflight must say of a fault; none where it cannot see it.
fn expected(fault: Fault) -> Option<FailureClass> {
    match fault {
        Fault::Nxdomain => Some(FailureClass::DnsNxdomain),
        Fault::Servfail => Some(FailureClass::DnsServfail),
        Fault::NoAddress => Some(FailureClass::DnsNoAddress),
        Fault::DnsTimeout => Some(FailureClass::DnsTimeout),
        Fault::WrongAddress => Some(FailureClass::WrongAddress),
        Fault::Refused | Fault::DeadIpv6 => Some(FailureClass::ConnectionRefused),
        Fault::Timeout | Fault::ConnectTimeout => Some(FailureClass::ConnectionTimeout),
        Fault::NotFound | Fault::ServerError => Some(FailureClass::HttpStatus),
        Fault::WrongBody => Some(FailureClass::WrongContent),
        Fault::RedirectLoop => Some(FailureClass::Redirect),
        Fault::Slow => Some(FailureClass::SlowResponse),
        Fault::RedirectElsewhere | Fault::WrongForCa | Fault::BreaksAfter(_) => None,
    }
}

#[tokio::test]
async fn every_fault_of_the_fleet_ends_in_its_cause() {
    let name = |fault: Fault| hostname(&format!("{}.example.com", fault.as_str().replace('_', "-")));
    let mut sites: Vec<_> =
        Fault::ALL.into_iter().map(|fault| Site::broken(vec![name(fault)], fault)).collect();
    sites.push(Site::healthy(vec![hostname("healthy.example.com")]));
    let world = World::start(sites).await;

    let mut faults = Fault::ALL.to_vec();
    faults.retain(|fault| *fault != Fault::DeadIpv6 || world.fleet.has_ipv6());
    let names: Vec<_> = faults.iter().map(|fault| name(*fault)).collect();
    let reports = world.preflight.check(&names).await;
    for (fault, report) in faults.iter().zip(&reports) {
        assert_eq!(class_of(report), expected(*fault), "{fault}: {report:?}");
    }
    let healthy = world.preflight.check_name(&hostname("healthy.example.com")).await;
    assert_eq!(healthy.verdict, Verdict::Ready, "{healthy:?}");
}

#[tokio::test]
async fn the_self_check_sees_what_only_a_ca_would_meet() {
    let (good, wrong) = (hostname("good.example.com"), hostname("wrong.example.com"));
    let sites = vec![Site::healthy(vec![good.clone()]), Site::broken(vec![wrong.clone()], Fault::WrongForCa)];
    let world = World::start(sites).await;
    let sees = async |name| world.preflight.sees(name, TOKEN, KEY_AUTHORIZATION).await;
    assert_eq!(class_of(&sees(&good).await), None);
    assert_eq!(class_of(&sees(&wrong).await), Some(FailureClass::HttpStatus));
    let unknown = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let not_presented = world.preflight.sees(&good, unknown, "anything").await;
    assert_eq!(class_of(&not_presented), Some(FailureClass::HttpStatus));
}

#[tokio::test]
async fn a_mended_name_is_ready_at_once() {
    let name = hostname("www.example.com");
    let world = World::start(vec![Site::broken(vec![name.clone()], Fault::Nxdomain)]).await;
    assert_eq!(class_of(&world.preflight.check_name(&name).await), Some(FailureClass::DnsNxdomain));
    world.fleet.set_fault(&name, None);
    assert_eq!(class_of(&world.preflight.check_name(&name).await), None);
}
