//! A world small enough to validate in: one DNS server and one web server on loopback.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, CAA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// What the world answers; names resolve to this machine unless something else is said.
#[derive(Debug, Default)]
struct Script {
    missing: HashSet<String>,
    texts: HashMap<String, Vec<String>>,
    issuers: HashMap<String, String>,
    pages: HashMap<String, String>,
    redirects: HashMap<String, String>,
    fetches: HashMap<String, usize>,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) dns: SocketAddr,
    pub(crate) http_port: u16,
    script: Arc<Mutex<Script>>,
    open: watch::Sender<bool>,
    _servers: [AbortOnDropHandle<()>; 2],
}

impl World {
    pub(crate) async fn start() -> Self {
        let dns = UdpSocket::bind("127.0.0.1:0").await.expect("a UDP port");
        let web = TcpListener::bind("127.0.0.1:0").await.expect("a TCP port");
        let (dns_address, web_address) = (dns.local_addr().expect("bound"), web.local_addr().expect("bound"));
        let script = Arc::new(Mutex::new(Script::default()));
        let open = watch::Sender::new(true);
        let servers = [
            AbortOnDropHandle::new(tokio::spawn(answer_dns(dns, Arc::clone(&script)))),
            AbortOnDropHandle::new(tokio::spawn(answer_web(web, Arc::clone(&script), open.subscribe()))),
        ];
        Self { dns: dns_address, http_port: web_address.port(), script, open, _servers: servers }
    }

    /// Serves a key authorization on every host.
    pub(crate) fn serve(&self, token: &str, key_authorization: &str) {
        let path = format!("/.well-known/acme-challenge/{token}");
        self.script.lock().expect("unpoisoned").pages.insert(path, key_authorization.to_owned());
    }

    pub(crate) fn redirect(&self, path: &str, location: &str) {
        self.script.lock().expect("unpoisoned").redirects.insert(path.to_owned(), location.to_owned());
    }

    pub(crate) fn page(&self, path: &str, body: &str) {
        self.script.lock().expect("unpoisoned").pages.insert(path.to_owned(), body.to_owned());
    }

    pub(crate) fn publish(&self, name: &str, text: &str) {
        let mut script = self.script.lock().expect("unpoisoned");
        script.texts.entry(name.to_owned()).or_default().push(text.to_owned());
    }

    /// A CAA record that lets one CA issue; an empty identity lets none.
    pub(crate) fn restrict(&self, name: &str, identity: &str) {
        self.script.lock().expect("unpoisoned").issuers.insert(name.to_owned(), identity.to_owned());
    }

    /// How often a path was asked for.
    pub(crate) fn fetches(&self, path: &str) -> usize {
        self.script.lock().expect("unpoisoned").fetches.get(path).copied().unwrap_or(0)
    }

    /// The name is NXDOMAIN from now on.
    pub(crate) fn remove(&self, name: &str) {
        self.script.lock().expect("unpoisoned").missing.insert(name.to_owned());
    }

    /// The web server takes requests but answers none until [`World::release`].
    pub(crate) fn hold(&self) {
        self.open.send_replace(false);
    }

    pub(crate) fn release(&self) {
        self.open.send_replace(true);
    }
}

async fn answer_dns(socket: UdpSocket, script: Arc<Mutex<Script>>) {
    let mut buffer = [0; 1_500];
    while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
        let question = Message::from_vec(&buffer[..length]).expect("a DNS message");
        let mut reply = Message::response(question.metadata.id, OpCode::Query);
        for query in &question.queries {
            let name = query.name().to_ascii().trim_end_matches('.').to_ascii_lowercase();
            reply.add_query(query.clone());
            let script = script.lock().expect("unpoisoned");
            if script.missing.contains(&name) {
                reply.metadata.response_code = ResponseCode::NXDomain;
            } else if query.query_type() == RecordType::A {
                let here = RData::A(A(Ipv4Addr::LOCALHOST));
                reply.add_answer(Record::from_rdata(query.name().clone(), 0, here));
            } else if query.query_type() == RecordType::CAA {
                if let Some(identity) = script.issuers.get(&name) {
                    let data = RData::CAA(CAA::new_issue(false, Name::from_ascii(identity).ok(), Vec::new()));
                    reply.add_answer(Record::from_rdata(query.name().clone(), 0, data));
                }
            } else if query.query_type() == RecordType::TXT {
                for text in script.texts.get(&name).into_iter().flatten() {
                    let data = RData::TXT(TXT::new(vec![text.clone()]));
                    reply.add_answer(Record::from_rdata(query.name().clone(), 0, data));
                }
            }
        }
        socket.send_to(&reply.to_vec().expect("a reply"), peer).await.expect("sent on loopback");
    }
}

async fn answer_web(listener: TcpListener, script: Arc<Mutex<Script>>, open: watch::Receiver<bool>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (script, open) = (Arc::clone(&script), open.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (script, mut open) = (Arc::clone(&script), open.clone());
            async move {
                drop(open.wait_for(|open| *open).await);
                Ok::<_, Infallible>(page(&script, request.uri().path()))
            }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn page(script: &Mutex<Script>, path: &str) -> Response<Full<Bytes>> {
    let mut script = script.lock().expect("unpoisoned");
    *script.fetches.entry(path.to_owned()).or_default() += 1;
    if let Some(location) = script.redirects.get(path) {
        let builder = Response::builder().status(StatusCode::FOUND).header(header::LOCATION, location);
        return builder.body(Full::default()).expect("a redirect");
    }
    match script.pages.get(path) {
        Some(body) => Response::new(Full::from(body.clone())),
        None => Response::builder().status(StatusCode::NOT_FOUND).body(Full::default()).expect("not found"),
    }
}
