//! A way to the CA on which things go wrong: what networks, proxies and CAs do on a bad day, at requests of one's
//! choice.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use lockkeeper::acme::transport::{Exchange, HyperTransport, TransportError};
use lockkeeper::acme::{AcmeError, Endpoint, Transport};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::watch;

/// Longer than a request may take under the leases of the matrix.
const LATE_BY: Duration = Duration::from_millis(2_500);
/// Nobody reads the answer to what comes late, and time does not wait for it longer than this.
const LATE_ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Strike {
    /// No connection: the request never leaves.
    DropRequest,
    /// Executed, and the answer is lost.
    DropAnswer,
    /// The connection is reset with the request on its way: not executed, which nobody can know.
    Reset,
    /// Nothing comes back within the client's timeout; executed after that.
    Late,
    /// Refused for a limit, for five seconds; not executed.
    Limited,
    /// Executed, and answered 500 with a problem document.
    ServerError,
    /// A load balancer's 503, in HTML; not executed.
    Unavailable,
    /// Refused for its nonce; not executed.
    BadNonce,
    /// Executed, and answered with text that is no JSON and no PEM.
    Malformed,
    /// Executed, and the second half of the answer is missing.
    Truncated,
    /// 200 with a page in HTML; not executed.
    Garbage,
}

impl Strike {
    pub const ALL: [Self; 11] = [
        Self::DropRequest,
        Self::DropAnswer,
        Self::Reset,
        Self::Late,
        Self::Limited,
        Self::ServerError,
        Self::Unavailable,
        Self::BadNonce,
        Self::Malformed,
        Self::Truncated,
        Self::Garbage,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DropRequest => "drop_request",
            Self::DropAnswer => "drop_answer",
            Self::Reset => "reset",
            Self::Late => "late",
            Self::Limited => "limited",
            Self::ServerError => "server_error",
            Self::Unavailable => "unavailable",
            Self::BadNonce => "bad_nonce",
            Self::Malformed => "malformed",
            Self::Truncated => "truncated",
            Self::Garbage => "garbage",
        }
    }

    /// Whether the CA has executed the request, and the client does not know.
    const fn loses_what_was_executed(self) -> bool {
        matches!(self, Self::DropAnswer | Self::Late | Self::ServerError | Self::Malformed | Self::Truncated)
    }
}

/// What a request is for. A deactivation goes where a read goes, and is another thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestKind {
    To(Endpoint),
    Deactivation,
}

impl RequestKind {
    fn of(endpoint: Endpoint, request: &Request<Bytes>) -> Self {
        match endpoint {
            Endpoint::Authorization if !is_read(request.body()) => Self::Deactivation,
            endpoint => Self::To(endpoint),
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::To(endpoint) => endpoint.as_str(),
            Self::Deactivation => "deactivation",
        }
    }
}

/// POST-as-GET has an empty payload (RFC 8555 §6.3).
fn is_read(body: &[u8]) -> bool {
    payload(body).is_none_or(|payload| payload.is_empty())
}

fn payload(body: &[u8]) -> Option<Vec<u8>> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    BASE64_URL_SAFE_NO_PAD.decode(body["payload"].as_str()?).ok()
}

/// Which requests are struck.
#[derive(Debug, Clone)]
pub enum Which {
    /// Those of this kind with these numbers, counted from 0.
    Of(RequestKind, Range<u64>),
    /// Those with these numbers among all.
    All(Range<u64>),
    /// The first of this kind with each payload, for so many payloads.
    FirstOfEach(RequestKind, usize),
    /// So many of a thousand, drawn.
    Share(u32),
}

#[derive(Debug)]
struct Rule {
    which: Which,
    strike: Strike,
    seen: AtomicU64,
    payloads: Mutex<HashSet<Vec<u8>>>,
}

/// What is to go wrong, and how often it has: shared by the ways of all services of a world.
#[derive(Debug)]
pub struct Weather {
    rules: Vec<Rule>,
    chance: Mutex<StdRng>,
    struck: watch::Sender<u64>,
    under_way: AtomicU64,
    begun: AtomicU64,
    late: AtomicU64,
    new_orders_lost: AtomicU64,
}

impl Weather {
    /// `seed` draws the shares.
    pub fn new(seed: u64, rules: impl IntoIterator<Item = (Which, Strike)>) -> Arc<Self> {
        let rule =
            |(which, strike)| Rule { which, strike, seen: AtomicU64::new(0), payloads: Mutex::default() };
        Arc::new(Self {
            rules: rules.into_iter().map(rule).collect(),
            chance: Mutex::new(StdRng::seed_from_u64(seed)),
            struck: watch::Sender::new(0),
            under_way: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            late: AtomicU64::new(0),
            new_orders_lost: AtomicU64::new(0),
        })
    }

    /// How often something went wrong.
    pub fn strikes(&self) -> u64 {
        *self.struck.borrow()
    }

    /// Requests whose answer is awaited.
    pub fn under_way(&self) -> u64 {
        self.under_way.load(Ordering::SeqCst)
    }

    /// Requests ever begun.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    /// Requests that the CA gets late, and has not got yet.
    pub fn late(&self) -> u64 {
        self.late.load(Ordering::SeqCst)
    }

    /// new-order requests the CA may have executed although no client has read the answer.
    pub fn new_orders_lost(&self) -> u64 {
        self.new_orders_lost.load(Ordering::SeqCst)
    }

    fn falls_on(&self, kind: RequestKind, body: &[u8]) -> Option<Strike> {
        let mut fallen = None;
        for rule in &self.rules {
            let counts = match &rule.which {
                Which::Of(wanted, _) | Which::FirstOfEach(wanted, _) => *wanted == kind,
                Which::All(_) | Which::Share(_) => true,
            };
            if !counts {
                continue;
            }
            let number = rule.seen.fetch_add(1, Ordering::SeqCst);
            let hit = match &rule.which {
                Which::Of(_, range) | Which::All(range) => range.contains(&number),
                Which::FirstOfEach(_, most) => {
                    let mut payloads = rule.payloads.lock().unwrap_or_else(PoisonError::into_inner);
                    payloads.len() < *most && payloads.insert(payload(body).unwrap_or_default())
                }
                Which::Share(share) => {
                    let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
                    chance.random_range(0..1000) < *share
                }
            };
            fallen = fallen.or(hit.then_some(rule.strike));
        }
        if fallen.is_some() {
            self.struck.send_modify(|count| *count += 1);
        }
        fallen
    }
}

/// One service's way to the CA. Its connections live on the service's own runtime, and end with it.
#[derive(Debug)]
pub struct FlakyTransport {
    inner: Arc<HyperTransport>,
    weather: Arc<Weather>,
    requests: AtomicU64,
}

impl FlakyTransport {
    pub fn new(weather: Arc<Weather>) -> Result<Arc<Self>, AcmeError> {
        let inner = Arc::new(HyperTransport::new(None, Duration::from_secs(5))?);
        Ok(Arc::new(Self { inner, weather, requests: AtomicU64::new(0) }))
    }

    /// How many requests there were.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Transport for FlakyTransport {
    fn exchange(&self, endpoint: Endpoint, request: Request<Bytes>) -> Exchange<'_> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let kind = RequestKind::of(endpoint, &request);
        let strike = self.weather.falls_on(kind, request.body());
        let may_be_lost = kind == RequestKind::To(Endpoint::NewOrder);
        let passage = Passage::begin(&self.weather, may_be_lost);
        let (inner, weather) = (Arc::clone(&self.inner), Arc::clone(&self.weather));
        Box::pin(async move {
            let Some(strike) = strike else {
                let answer = inner.exchange(endpoint, request).await;
                passage.end(answer.is_err());
                return answer;
            };
            let answered = strike_down(strike, endpoint, request, inner, weather).await;
            passage.end(strike.loses_what_was_executed());
            answered
        })
    }
}

async fn strike_down(
    strike: Strike,
    endpoint: Endpoint,
    request: Request<Bytes>,
    inner: Arc<HyperTransport>,
    weather: Arc<Weather>,
) -> Result<Response<Bytes>, TransportError> {
    match strike {
        Strike::DropRequest => Err(TransportError::NotSent(broken(io::ErrorKind::ConnectionRefused))),
        Strike::Reset => Err(TransportError::Lost(broken(io::ErrorKind::ConnectionReset))),
        Strike::DropAnswer => {
            drop(inner.exchange(endpoint, request).await?);
            Err(TransportError::Lost(broken(io::ErrorKind::ConnectionReset)))
        }
        Strike::Late => {
            let arriving = Some(Arriving::new(weather));
            let mut later = Later { endpoint, request: Some(request), inner: Arc::clone(&inner), arriving };
            tokio::time::sleep(LATE_BY).await;
            // Somebody listens for longer than the request may take.
            match later.request.take() {
                Some(request) => inner.exchange(endpoint, request).await,
                None => Err(TransportError::Lost(broken(io::ErrorKind::TimedOut))),
            }
        }
        Strike::Limited => {
            let limited = "urn:ietf:params:acme:error:rateLimited";
            let mut answer = problem(429, limited, "too many requests: one of the test's");
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
            Ok(answer)
        }
        Strike::ServerError => {
            drop(inner.exchange(endpoint, request).await?);
            Ok(problem(500, "urn:ietf:params:acme:error:serverInternal", "something went wrong"))
        }
        Strike::Unavailable => Ok(page(503)),
        Strike::Garbage => Ok(page(200)),
        Strike::BadNonce => {
            let mut answer =
                problem(400, "urn:ietf:params:acme:error:badNonce", "unable to validate anti-replay nonce");
            answer.headers_mut().insert("replay-nonce", HeaderValue::from_static("bm9uZSBvZiB5b3Vycw"));
            Ok(answer)
        }
        Strike::Malformed => {
            let mut answer = inner.exchange(endpoint, request).await?;
            *answer.body_mut() = Bytes::from_static(b"{\"status\": \"valid\", \"exp");
            // What a HEAD brings stands in its header.
            answer.headers_mut().remove("replay-nonce");
            Ok(answer)
        }
        Strike::Truncated => {
            let mut answer = inner.exchange(endpoint, request).await?;
            let half = answer.body().len() / 2;
            answer.body_mut().truncate(half);
            answer.headers_mut().remove("replay-nonce");
            Ok(answer)
        }
    }
}

fn broken(kind: io::ErrorKind) -> Box<dyn std::error::Error + Send + Sync> {
    io::Error::from(kind).into()
}

fn problem(status: u16, kind: &str, detail: &str) -> Response<Bytes> {
    let body = serde_json::json!({ "type": kind, "detail": detail, "status": status });
    answer(status, "application/problem+json", body.to_string().into())
}

fn page(status: u16) -> Response<Bytes> {
    answer(status, "text/html", Bytes::from_static(b"<html><h1>We will be back shortly</h1></html>"))
}

fn answer(status: u16, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// A request on its way. Dropped before its end, because the client gives up or dies, its answer is lost.
struct Passage {
    weather: Arc<Weather>,
    may_be_lost: bool,
}

impl Passage {
    fn begin(weather: &Arc<Weather>, may_be_lost: bool) -> Self {
        weather.under_way.fetch_add(1, Ordering::SeqCst);
        weather.begun.fetch_add(1, Ordering::SeqCst);
        Self { weather: Arc::clone(weather), may_be_lost }
    }

    fn end(mut self, lost: bool) {
        self.may_be_lost &= lost;
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.weather.under_way.fetch_sub(1, Ordering::SeqCst);
        if self.may_be_lost {
            self.weather.new_orders_lost.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Sends its request once nobody waits for the answer any more.
struct Later {
    endpoint: Endpoint,
    request: Option<Request<Bytes>>,
    inner: Arc<HyperTransport>,
    arriving: Option<Arriving>,
}

impl Drop for Later {
    fn drop(&mut self) {
        let (Some(request), Ok(runtime)) = (self.request.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let (inner, arriving, endpoint) = (Arc::clone(&self.inner), self.arriving.take(), self.endpoint);
        runtime.spawn(async move {
            drop(tokio::time::timeout(LATE_ANSWERED_WITHIN, inner.exchange(endpoint, request)).await);
            drop(arriving);
        });
    }
}

struct Arriving(Arc<Weather>);

impl Arriving {
    fn new(weather: Arc<Weather>) -> Self {
        weather.late.fetch_add(1, Ordering::SeqCst);
        Self(weather)
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.0.late.fetch_sub(1, Ordering::SeqCst);
    }
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for RequestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
