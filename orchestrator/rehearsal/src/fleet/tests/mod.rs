//! A running fleet, looked at from outside as a resolver and a CA would.

mod changes;
mod faults;
mod load;
mod records;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, Uri};
use bytes::Bytes;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ProtocolConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use http::header::{HOST, LOCATION};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use issuance::identifier::Hostname;
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::timeout;

use super::{Fleet, FleetConfig, Site};

/// Long enough on a busy machine, far below what a fault withholds.
const PATIENCE: Duration = Duration::from_millis(1500);
const REDIRECTS_MAX: usize = 10;

fn name(text: &str) -> Hostname {
    Hostname::parse(text).unwrap()
}

fn challenge_path(token: &str) -> String {
    format!("/.well-known/acme-challenge/{token}")
}

/// A responder that answers with the Host and the path it was asked for.
async fn start_echo() -> SocketAddr {
    let echo =
        |headers: HeaderMap, uri: Uri| async move { format!("{} {uri}", headers[HOST].to_str().unwrap()) };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(echo)).await });
    address
}

async fn start(sites: Vec<Site>) -> Fleet {
    Fleet::start(FleetConfig { sites, ..FleetConfig::new(start_echo().await) }).await.unwrap()
}

/// What a plain client sees of a name.
#[derive(Debug, PartialEq, Eq)]
enum Sight {
    Nxdomain,
    NoRecords,
    Servfail,
    DnsTimeout,
    Refused,
    Timeout,
    /// The headers came, the body did not end.
    BodyTimeout(StatusCode),
    RedirectLoop,
    Answer(StatusCode, String),
}

fn resolver(fleet: &Fleet) -> TokioResolver {
    let connection = |protocol| {
        let mut connection = ConnectionConfig::new(protocol);
        connection.port = fleet.dns_addr().port();
        connection
    };
    let connections = vec![connection(ProtocolConfig::Udp), connection(ProtocolConfig::Tcp)];
    let server = NameServerConfig::new(fleet.dns_addr().ip(), true, connections);
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.attempts = 0;
    options.timeout = PATIENCE;
    options.case_randomization = true;
    builder.build().unwrap()
}

async fn addresses(fleet: &Fleet, host: &str, of: RecordType) -> Result<Vec<IpAddr>, Sight> {
    match resolver(fleet).lookup(format!("{host}."), of).await {
        Ok(lookup) => Ok(lookup.answers().iter().filter_map(|record| record.data.ip_addr()).collect()),
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
            assert!(none.soa.is_some(), "a negative answer names its zone (RFC 2308 §3)");
            let nxdomain = none.response_code == ResponseCode::NXDomain;
            Err(if nxdomain { Sight::Nxdomain } else { Sight::NoRecords })
        }
        Err(NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail))) => Err(Sight::Servfail),
        Err(NetError::Timeout) => Err(Sight::DnsTimeout),
        Err(other) => panic!("{host}: {other}"),
    }
}

/// Resolves, connects and follows redirects, as HTTP-01 validation does.
async fn look(fleet: &Fleet, host: &Hostname, path: &str) -> Sight {
    let port = fleet.http_port();
    let mut url: Uri = format!("http://{host}:{port}{path}").parse().unwrap();
    let mut seen = vec![url.clone()];
    while seen.len() <= REDIRECTS_MAX {
        let address = match addresses(fleet, url.host().unwrap(), RecordType::A).await {
            Ok(addresses) => addresses[0],
            Err(sight) => return sight,
        };
        let (location, sight) = fetch(address, &url).await;
        let Some(location) = location else { return sight };
        if seen.contains(&location) {
            return Sight::RedirectLoop;
        }
        url = location;
        seen.push(url.clone());
    }
    Sight::RedirectLoop
}

/// One request to this address with the authority of the URL as Host.
async fn fetch(address: IpAddr, url: &Uri) -> (Option<Uri>, Sight) {
    let client: Client<HttpConnector, Empty<Bytes>> =
        Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let target = SocketAddr::new(address, url.port_u16().unwrap());
    let request = Request::builder()
        .uri(format!("http://{target}{}", url.path()))
        .header(HOST, url.authority().unwrap().as_str())
        .body(Empty::new())
        .unwrap();
    let answer = match timeout(PATIENCE, client.request(request)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            assert!(error.is_connect(), "{url}: {error}");
            return (None, Sight::Refused);
        }
        Err(_) => return (None, Sight::Timeout),
    };
    let status = answer.status();
    let location = answer.headers().get(LOCATION).map(|to| to.to_str().unwrap().parse().unwrap());
    match timeout(PATIENCE, answer.into_body().collect()).await {
        Ok(body) => {
            let body = String::from_utf8(body.unwrap().to_bytes().to_vec()).unwrap();
            (location, Sight::Answer(status, body))
        }
        Err(_) => (location, Sight::BodyTimeout(status)),
    }
}

/// One question over UDP as the bytes are, and the answer.
async fn ask_udp(fleet: &Fleet, spelling: &str, of: RecordType) -> Message {
    let mut request = Message::new(4711, MessageType::Query, OpCode::Query);
    request.add_query(Query::query(Name::from_ascii(spelling).unwrap(), of));
    exchange_udp(fleet, &request.to_vec().unwrap()).await
}

async fn exchange_udp(fleet: &Fleet, question: &[u8]) -> Message {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.send_to(question, fleet.dns_addr()).await.unwrap();
    let mut buffer = [0; 4096];
    let length = timeout(PATIENCE, socket.recv(&mut buffer)).await.expect("an answer in time").unwrap();
    Message::from_vec(&buffer[..length]).unwrap()
}
