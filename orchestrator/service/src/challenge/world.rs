//! A small world on loopback for tests: name servers and web servers, each with its fault.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use issuance::identifier::Hostname;
use issuance::ids::OrderId;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;

use super::http01::{Board, Presented, Responder, ResponderConfig, Responses, ResponsesError};
use super::probe::ProbeSecret;
use super::resolver::{NameResolver, ResolverConfig};

/// For what must come: never waited out.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// For what must not come: long enough for loopback on a busy machine, short enough to be waited out.
pub(super) const DEADLINE: Duration = Duration::from_millis(300);

pub(super) fn hostname(text: &str) -> Hostname {
    Hostname::parse(text).expect(text)
}

pub(super) fn address(text: &str) -> IpAddr {
    text.parse().expect(text)
}

pub(super) fn secret() -> ProbeSecret {
    ProbeSecret::new([42; 32])
}

/// Records that lead inside: every kind of address that means it.
pub(crate) const INSIDE_RECORDS: [&[&str]; 24] = [
    &["127.0.1.1"],
    &["127.0.2.2"],
    &["127.1.2.3"],
    &["127.255.255.254"],
    &["::1"],
    &["::"],
    &["0.0.0.0"],
    &["10.0.0.1"],
    &["100.64.0.1"],
    &["169.254.169.254"],
    &["172.16.0.1"],
    &["192.168.1.1"],
    &["168.63.129.16"],
    &["::ffff:127.0.1.1"],
    &["::ffff:169.254.169.254"],
    &["::127.0.1.1"],
    &["64:ff9b::7f00:101"],
    &["64:ff9b:1::7f00:101"],
    &["2002:7f00:101::1"],
    &["2001:0:7f00:101::1"],
    &["fe80::1"],
    &["fd00:ec2::254"],
    &["ff02::1"],
    &["224.0.0.1"],
];

/// URLs that lead inside, in every spelling that has been used for it, and by names that are told inside.
pub(crate) const INSIDE_URLS: [&str; 36] = [
    "http://127.0.1.1/",
    "http://127.0.1.1:80/",
    "//127.0.1.1/",
    "http://127.1/",
    "http://127.0.257/",
    "http://2130706689/",
    "http://0x7f000101/",
    "http://0x7f.0.1.1/",
    "http://017700000401/",
    "http://0177.0.01.01/",
    "http://127.000.001.001/",
    "http://127.0.1.1./",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.1.1]/",
    "http://[::ffff:7f00:101]/",
    "http://[::127.0.1.1]/",
    "http://[64:ff9b::7f00:101]/",
    "http://[64:ff9b:1::7f00:101]/",
    "http://[2002:7f00:101::]/",
    "http://[fe80::1%25lo]/",
    "http://[fd00:ec2::254]/",
    "http://www.example.com@127.0.1.1/",
    "http://www.example.com:80@127.0.1.1/",
    "http://127.0.1.1\\@www.example.com/",
    "http://127.0.1.1#@www.example.com/",
    "http://%31%32%37.0.1.1/",
    "http://１２７.0.1.1/",
    "http://localhost/",
    "http://localhost.localdomain/",
    "http://169.254.169.254/latest/meta-data/",
    "http://0/",
    "http://inside.example.net/",
    "http://half-inside.example.net/",
    "http://alias.example.net/",
    "https://inside.example.net/",
];

#[derive(Debug, Clone)]
pub(crate) enum Zone {
    Addresses(Vec<IpAddr>),
    /// Answers over TCP only; over UDP the answer is cut off.
    Long(Vec<IpAddr>),
    /// One answer for A, another one for AAAA.
    Split(Box<Zone>, Box<Zone>),
    Cname(&'static str),
    Rcode(ResponseCode),
    NoData,
    Silent,
    /// The first lookup of A finds the first address, every later one the second.
    Rebinding(Arc<AtomicUsize>, [IpAddr; 2]),
}

impl Zone {
    pub(crate) fn at(addresses: &[&str]) -> Self {
        Self::Addresses(addresses.iter().map(|text| address(text)).collect())
    }
}

/// A resolver for the names it was given; any other name is `*`, or does not exist.
pub(crate) async fn resolver<const N: usize>(zones: [(&'static str, Zone); N]) -> NameResolver {
    resolver_of(start_dns(zones).await, PATIENCE)
}

/// The same, for zones that are silent.
pub(super) async fn impatient_resolver<const N: usize>(zones: [(&'static str, Zone); N]) -> NameResolver {
    resolver_of(start_dns(zones).await, DEADLINE)
}

/// A resolver whose server takes every question and answers none.
pub(super) async fn dead_resolver() -> NameResolver {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
    let server = socket.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while socket.recv(&mut buffer).await.is_ok() {}
    });
    resolver_of(server, DEADLINE)
}

fn resolver_of(server: SocketAddr, timeout: Duration) -> NameResolver {
    let config = ResolverConfig { servers: vec![server], timeout, attempts: 1 };
    NameResolver::new(&config).expect("a resolver")
}

async fn start_dns<const N: usize>(zones: [(&'static str, Zone); N]) -> SocketAddr {
    let zones: Arc<HashMap<&str, Zone>> = Arc::new(HashMap::from(zones));
    let (socket, listener) = loop {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
        if let Ok(listener) = TcpListener::bind(socket.local_addr().expect("an address")).await {
            break (socket, listener);
        }
    };
    let server = socket.local_addr().expect("an address");
    let for_tcp = Arc::clone(&zones);
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            if let Some(answer) = dns_answer(&zones, &buffer[..length], true) {
                socket.send_to(&answer, peer).await.expect("sent");
            }
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let zones = Arc::clone(&for_tcp);
            tokio::spawn(async move {
                while let Ok(length) = stream.read_u16().await {
                    let mut question = vec![0; usize::from(length)];
                    stream.read_exact(&mut question).await.expect("a question");
                    if let Some(answer) = dns_answer(&zones, &question, false) {
                        stream.write_u16(answer.len() as u16).await.expect("written");
                        stream.write_all(&answer).await.expect("written");
                    }
                }
            });
        }
    });
    server
}

fn dns_answer(zones: &HashMap<&str, Zone>, question: &[u8], udp: bool) -> Option<Vec<u8>> {
    let mut message = Message::from_vec(question).expect("a question");
    message.metadata.message_type = MessageType::Response;
    message.metadata.recursion_available = true;
    let query = message.queries[0].clone();
    let asked = query.name().to_ascii();
    let known = zones.get(asked.trim_end_matches('.')).or_else(|| zones.get("*"));
    let mut zone = known.cloned().unwrap_or_else(|| {
        Zone::Rcode(if query.name().is_root() { ResponseCode::Refused } else { ResponseCode::NXDomain })
    });
    if let Zone::Split(v4, v6) = zone {
        zone = if query.query_type() == RecordType::A { *v4 } else { *v6 };
    }
    let mut answer = |data| {
        message.add_answer(Record::from_rdata(query.name().clone(), 60, data));
    };
    let mut answer_addresses = |addresses: &[IpAddr]| {
        for address in addresses {
            match (address, query.query_type()) {
                (IpAddr::V4(address), RecordType::A) => answer(RData::A(A(*address))),
                (IpAddr::V6(address), RecordType::AAAA) => answer(RData::AAAA(AAAA(*address))),
                _ => {}
            }
        }
    };
    match zone {
        Zone::Long(_) if udp => message.metadata.truncation = true,
        Zone::Addresses(addresses) | Zone::Long(addresses) => answer_addresses(&addresses),
        Zone::Cname(target) => {
            answer(RData::CNAME(CNAME(Name::from_ascii(format!("{target}.")).expect("a name"))));
        }
        Zone::Rcode(code) => message.metadata.response_code = code,
        Zone::Rebinding(lookups, addresses) => {
            if query.query_type() == RecordType::A {
                let turn = lookups.fetch_add(1, Ordering::SeqCst).min(1);
                answer_addresses(&[addresses[turn]]);
            }
        }
        Zone::NoData => {}
        Zone::Silent => return None,
        Zone::Split(..) => unreachable!("split above"),
    }
    Some(message.to_vec().expect("an answer"))
}

/// What a web server does with a request, once it has read its head.
pub(super) enum Reply {
    Send(String),
    /// Sends this and then nothing more, with the connection open.
    SendAndHang(String),
    Close,
}

pub(super) fn reply(status: &str, headers: &str, body: &str) -> Reply {
    Reply::Send(raw(status, headers, body))
}

pub(super) fn raw(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Web servers on several loopback addresses, all on one port as at a CA.
pub(super) struct Web {
    pub(super) port: u16,
    stop: CancellationToken,
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Web {
    /// With the product's own responder at 127.0.0.1.
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        let stop = CancellationToken::new();
        let board = Arc::new(Board::new(Arc::new(Shelf::default()), WAITING_MAX));
        let responder = Responder::new(ResponderConfig::default(), board, secret());
        tokio::spawn(responder.serve(listener, stop.clone()));
        Self { port, stop }
    }

    /// Starts a web server at `ip`. Counts the connections that reach it.
    pub(super) async fn serve(
        &self,
        ip: &str,
        behaviour: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Arc<AtomicUsize> {
        let listener = TcpListener::bind((address(ip), self.port)).await.expect(ip);
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let behaviour = Arc::new(behaviour);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let behaviour = Arc::clone(&behaviour);
                tokio::spawn(async move {
                    let head = read_head(&mut stream).await;
                    match behaviour(&head) {
                        Reply::Send(bytes) => stream.write_all(bytes.as_bytes()).await.expect("written"),
                        Reply::SendAndHang(bytes) => {
                            stream.write_all(bytes.as_bytes()).await.expect("written");
                            // Until the other side has had enough.
                            let mut rest = [0; 64];
                            while matches!(stream.read(&mut rest).await, Ok(1..)) {}
                        }
                        Reply::Close => {}
                    }
                });
            }
        });
        connections
    }
}

pub(super) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(length @ 1..) => head.extend_from_slice(&buffer[..length]),
            _ => break,
        }
    }
    String::from_utf8(head).expect("text")
}

/// Who may wait for the database at once.
pub(super) const WAITING_MAX: usize = 8;

/// Challenge responses by token, and a database that can be down.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub(super) responses: HashMap<String, String>,
    pub(super) down: AtomicBool,
    pub(super) hangs: bool,
    /// Tokens that were asked for, and by how many questions.
    pub(super) asked: AtomicUsize,
    pub(super) questions: AtomicUsize,
}

/// Whose responses they are.
pub(super) const ORDER: OrderId = OrderId(uuid::Uuid::from_u128(7));

impl Responses for Shelf {
    fn look_up(&self, tokens: Vec<String>) -> BoxFuture<'_, Result<Vec<Presented>, ResponsesError>> {
        self.asked.fetch_add(tokens.len(), Ordering::SeqCst);
        self.questions.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            if self.hangs {
                std::future::pending::<()>().await;
            }
            if self.down.load(Ordering::SeqCst) {
                return Err(ResponsesError::away("down"));
            }
            let found = tokens.into_iter().filter_map(|token| {
                let key_authorization = self.responses.get(&token)?.as_str().into();
                Some(Presented { order: ORDER, token: token.into(), key_authorization })
            });
            Ok(found.collect())
        })
    }
}

/// A web server over TLS, with a certificate for another name, signed by itself and by nobody else.
pub(super) async fn serve_tls(ip: &str, answer: fn(&str) -> String) -> u16 {
    let certified =
        rcgen::generate_simple_self_signed([String::from("nobody.example.org")]).expect("a certificate");
    let key =
        rustls_pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .expect("a configuration");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((address(ip), 0)).await.expect(ip);
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = acceptor.accept(stream).await.expect("a handshake");
            let head = read_head(&mut stream).await;
            stream.write_all(answer(&head).as_bytes()).await.expect("written");
            stream.shutdown().await.expect("shut down");
        }
    });
    port
}

/// A server that speaks first, whatever the other side wanted to say.
pub(super) async fn serve_greeting(ip: &str, greeting: &'static str) -> u16 {
    let listener = TcpListener::bind((address(ip), 0)).await.expect(ip);
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.write_all(greeting.as_bytes()).await.expect("written");
                let mut rest = [0; 64];
                while matches!(stream.read(&mut rest).await, Ok(1..)) {}
            });
        }
    });
    port
}
