//! The authoritative server of our own zone: TXT records of challenges, and what a zone needs besides. It answers for
//! nothing else, asks nobody, and changes nothing.
//!
//! What it answers depends on the name alone, so every replica that reads the same database may be a name server of the
//! zone. Anybody can send it anything: questions that need the database are bounded, and so is what is remembered.

mod cache;
mod zone;

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use hickory_proto::op::{Edns, MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::DNSClass;
use hickory_server::net::runtime::Time;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo, Server};
use hickory_server::zone_handler::MessageResponseBuilder;
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::instruments::AuthorityInstruments;
use super::record_name::RecordName;
use cache::Cache;
use zone::{Answer, Question};
pub use zone::{OwnZone, OwnZoneError};

/// A TCP connection that says nothing for so long is closed (RFC 7766 §6.2.3).
const TCP_IDLE_MAX: Duration = Duration::from_secs(10);
/// Answers that wait to be sent on one TCP connection.
const TCP_ANSWERS_MAX: usize = 16;
/// What DNS Flag Day 2020 asks for: no fragmentation anywhere.
const UDP_BYTES_MAX: u16 = 1232;
const UDP_BYTES_MIN: u16 = 512;
/// Ports tried until UDP and TCP have the same one.
const BIND_ATTEMPTS_MAX: usize = 16;

/// Where the server finds what to say. The same on every replica.
pub trait Texts: Send + Sync {
    /// The TXT records that stand at `owner`; `None` where there is no such name.
    fn texts<'a>(&'a self, owner: &'a RecordName) -> BoxFuture<'a, Result<Option<Vec<String>>, TextsError>>;
}

#[derive(Debug, thiserror::Error)]
#[error("could not read the records of our own zone")]
pub struct TextsError {
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

impl TextsError {
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: source.into() }
    }
}

/// Sockets that are bound and not served yet.
#[derive(Debug)]
pub struct Authority {
    udp: UdpSocket,
    tcp: TcpListener,
    address: SocketAddr,
    handler: Answerer,
}

impl Authority {
    /// Binds UDP and TCP at the same address.
    pub async fn bind(listen: SocketAddr, zone: OwnZone, texts: Arc<dyn Texts>) -> std::io::Result<Self> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let tcp = TcpListener::bind(listen).await?;
            let address = tcp.local_addr()?;
            match UdpSocket::bind(address).await {
                Ok(udp) => {
                    let handler = Answerer {
                        zone,
                        cache: Cache::new(texts),
                        instruments: AuthorityInstruments::register(),
                    };
                    return Ok(Self { udp, tcp, address, handler });
                }
                // A port of the system's choice may be taken for the other protocol.
                Err(error) if listen.port() != 0 || attempt == BIND_ATTEMPTS_MAX => return Err(error),
                Err(_) => {}
            }
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`.
    pub async fn serve(self, stop: CancellationToken) {
        let mut server = Server::new(self.handler);
        server.register_socket(self.udp);
        server.register_listener(self.tcp, TCP_IDLE_MAX, TCP_ANSWERS_MAX);
        stop.cancelled().await;
        if let Err(error) = server.shutdown_gracefully().await {
            debug!(error = &error as &dyn Error, "The authoritative server ended with an error");
        }
    }
}

struct Answerer {
    zone: OwnZone,
    cache: Cache,
    instruments: AuthorityInstruments,
}

impl fmt::Debug for Answerer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answerer").field("zone", &self.zone).finish_non_exhaustive()
    }
}

impl Answerer {
    /// What is said to a request that is well formed.
    async fn answer(&self, request: &Request) -> Answer {
        if request.metadata.op_code != OpCode::Query {
            return Answer::error(ResponseCode::NotImp);
        }
        if request.version() > 0 {
            return Answer::error(ResponseCode::BADVERS);
        }
        let [query] = request.queries.queries() else { return Answer::error(ResponseCode::FormErr) };
        if query.query_class() != DNSClass::IN {
            return Answer::error(ResponseCode::Refused);
        }
        let asked = query.original().name();
        let question = match self.zone.question(asked, query.query_type()) {
            Ok(question) => question,
            Err(answer) => return answer,
        };
        let texts = match question {
            Question::Known => Some(Vec::new()),
            Question::Record(owner) => match self.cache.texts(&owner).await {
                Ok(texts) => texts,
                Err(error) => {
                    warn!(
                        event = "own_zone.question_failed",
                        error = &error as &dyn Error,
                        "A question to our own zone could not be answered"
                    );
                    return Answer::error(ResponseCode::ServFail);
                }
            },
            Question::Nothing => None,
        };
        self.zone.answer(asked, query.query_type(), texts.as_deref())
    }

    fn count(&self, answer: &Answer) {
        let counter = match answer.code {
            ResponseCode::NoError if answer.answers.is_empty() => &self.instruments.empty,
            ResponseCode::NoError => &self.instruments.answered,
            ResponseCode::NXDomain => &self.instruments.missing,
            ResponseCode::ServFail => &self.instruments.failed,
            _ => &self.instruments.refused,
        };
        counter.increment(1);
    }
}

#[async_trait]
impl RequestHandler for Answerer {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut reply: R,
    ) -> ResponseInfo {
        let answer = self.answer(request).await;
        self.count(&answer);
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.message_type = MessageType::Response;
        metadata.authoritative = answer.authoritative;
        metadata.recursion_available = false;
        metadata.response_code = answer.code;
        let edns = request.edns.as_ref().map(|asked| {
            let mut edns = Edns::new();
            edns.set_max_payload(asked.max_payload().clamp(UDP_BYTES_MIN, UDP_BYTES_MAX));
            edns.set_rcode_high(answer.code.high());
            edns
        });
        let response = MessageResponseBuilder::new(&request.queries, edns.as_ref()).build(
            metadata,
            &answer.answers,
            &answer.authorities,
            [],
            &answer.additionals,
        );
        match reply.send_response(response).await {
            Ok(info) => info,
            Err(error) => {
                debug!(error = &error as &dyn Error, "A DNS answer could not be sent");
                let mut failed = Metadata::new(request.metadata.id, MessageType::Response, OpCode::Query);
                failed.response_code = ResponseCode::ServFail;
                hickory_proto::op::Header {
                    metadata: failed,
                    counts: hickory_proto::op::HeaderCounts::default(),
                }
                .into()
            }
        }
    }
}
