//! The HTTP client of one CA: smoothed, timed out, measured, traced, and never sending anything twice.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::http::header::{ACCEPT_LANGUAGE, CONTENT_TYPE, USER_AGENT};
use ::http::{HeaderMap, HeaderValue, Method, Request, Response};
use bytes::Bytes;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use issuance::problem::{Problem, ProblemKind};
use issuance::profile::RequestRates;
use issuance::time::Clock;
use tracing::{Instrument, Span, field};

use super::endpoint::{Endpoint, Lane, Timeouts};
use super::error::{AcmeError, Reason};
use super::instruments::{Instruments, NoAnswer};
use super::late::Outliving;
use super::nonce::{Nonce, NoncePool};
use super::origin::Origin;
use super::problem;
use super::reply::{Answer, retry_after};
use super::transport::{Transport, TransportError};
use crate::mishaps::reach;
use crate::telemetry::traces;

const AGENT: HeaderValue = HeaderValue::from_static(concat!(
    "lockkeeper/",
    env!("CARGO_PKG_VERSION"),
    " instant-acme/0.8 (fleet certificate control plane)"
));
const JOSE_JSON: HeaderValue = HeaderValue::from_static("application/jose+json");
const ENGLISH: HeaderValue = HeaderValue::from_static("en");
const REPLAY_NONCE: &str = "replay-nonce";
/// The share of a second's requests that may go out at once: traffic stays even, and the CA, which counts in
/// windows of its own, never sees two bursts in one.
const BURST_SHARE: u32 = 10;

/// What goes out: a signed body, or nothing.
#[derive(Debug, Clone)]
pub(crate) enum Sending {
    Get,
    Head,
    Post(Bytes),
    /// The exchange goes on when its sender no longer waits.
    Outliving(Bytes, Outliving),
}

/// See the module.
pub(crate) struct HttpClient {
    ca: Arc<str>,
    origin: Origin,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    timeouts: Timeouts,
    lanes: [Option<DefaultDirectRateLimiter>; Lane::COUNT],
    nonces: NoncePool,
    instruments: Instruments,
}

impl HttpClient {
    pub(crate) fn new(
        ca: Arc<str>,
        origin: Origin,
        rates: &RequestRates,
        timeouts: Timeouts,
        clock: Arc<dyn Clock>,
        transport: Arc<dyn Transport>,
    ) -> Self {
        let mut lanes = [const { None }; Lane::COUNT];
        for endpoint in Endpoint::ALL {
            lanes[endpoint.lane() as usize] = smoothing(endpoint.requests_per_second(rates));
        }
        let instruments = Instruments::register(Arc::clone(&ca));
        Self { ca, origin, transport, clock, timeouts, lanes, nonces: NoncePool::default(), instruments }
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(crate) fn instruments(&self) -> &Instruments {
        &self.instruments
    }

    /// One request, one answer: 2xx comes back, everything else is a failure. The nonce of every answer goes to the
    /// pool, except that of a `badNonce`, which is for the same request's next try.
    pub(crate) async fn send(
        &self,
        endpoint: Endpoint,
        url: &str,
        sending: Sending,
    ) -> Result<Answer, Failed> {
        let uri = self.origin.admit(url).map_err(|error| AcmeError::not_sent(endpoint, error))?;
        let (method, body, outliving) = match sending {
            Sending::Get => (Method::GET, None, None),
            Sending::Head => (Method::HEAD, None, None),
            Sending::Post(body) => (Method::POST, Some(body), None),
            Sending::Outliving(body, outliving) => (Method::POST, Some(body), Some(outliving)),
        };
        let verb = if method == Method::POST {
            "POST"
        } else if method == Method::HEAD {
            "HEAD"
        } else {
            "GET"
        };
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(USER_AGENT, AGENT)
            .header(ACCEPT_LANGUAGE, ENGLISH);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, JOSE_JSON);
        }
        let request = request
            .body(body.unwrap_or_default())
            .map_err(|error| AcmeError::not_sent(endpoint, Reason::Malformed(error)))?;

        let span = tracing::info_span!(
            "acme.request",
            ca.name = %self.ca,
            acme.endpoint = endpoint.as_str(),
            http.status = field::Empty,
        );
        let exchange = async {
            note_request(&self.ca, endpoint, &request);
            let exchanged = self.exchange(endpoint, request, outliving).await;
            note_answer(&exchanged);
            exchanged
        };
        let response = traces::client_span(verb, exchange).instrument(span).await?;
        let judged = self.judge(endpoint, response);
        note_problem(&judged);
        judged
    }

    async fn exchange(
        &self,
        endpoint: Endpoint,
        request: Request<Bytes>,
        outliving: Option<Outliving>,
    ) -> Result<Response<Bytes>, AcmeError> {
        let timeout = self.timeouts.of(endpoint);
        self.wait_for_turn(endpoint, timeout).await?;
        let _in_flight = self.instruments.in_flight();
        reach!(Before, Request, endpoint.as_str());
        let start = Instant::now();
        let exchange = async {
            match outliving {
                Some(outliving) => outliving.exchange(Arc::clone(&self.transport), endpoint, request).await,
                None => self.transport.exchange(endpoint, request).await,
            }
        };
        let ended = tokio::time::timeout(timeout, exchange).await;
        let took = start.elapsed();
        reach!(After, Request, endpoint.as_str());
        match ended {
            Ok(Ok(response)) => {
                Span::current().record("http.status", response.status().as_u16());
                self.instruments.answered(endpoint, response.status(), took);
                Ok(response)
            }
            Ok(Err(TransportError::NotSent(source))) => {
                self.instruments.unanswered(endpoint, NoAnswer::NotSent, took);
                Err(AcmeError::NotSent { endpoint, source })
            }
            Ok(Err(TransportError::Lost(source))) => {
                self.instruments.unanswered(endpoint, NoAnswer::Lost, took);
                Err(AcmeError::Lost { endpoint, source })
            }
            Err(_) => {
                self.instruments.unanswered(endpoint, NoAnswer::Timeout, took);
                Err(AcmeError::lost(endpoint, Reason::Timeout(timeout)))
            }
        }
    }

    async fn wait_for_turn(&self, endpoint: Endpoint, timeout: Duration) -> Result<(), AcmeError> {
        let Some(limiter) = &self.lanes[endpoint.lane() as usize] else { return Ok(()) };
        if limiter.check().is_ok() {
            return Ok(());
        }
        let start = Instant::now();
        let turn = tokio::time::timeout(timeout, limiter.until_ready()).await;
        self.instruments.smoothed(endpoint, start.elapsed());
        turn.map_err(|_| AcmeError::not_sent(endpoint, Reason::Smoothed(timeout)))
    }

    pub(super) fn judge(&self, endpoint: Endpoint, response: Response<Bytes>) -> Result<Answer, Failed> {
        let now = self.clock.now();
        let (parts, body) = response.into_parts();
        let nonce = nonce_in(&parts.headers);
        let retry_after = retry_after(&parts.headers, now);
        if parts.status.is_success() {
            match nonce {
                // Whoever asked for a nonce takes it from the answer.
                Some(nonce) if endpoint != Endpoint::NewNonce => self.nonces.put(nonce, now),
                _ => (),
            }
            return Ok(Answer { endpoint, status: parts.status, headers: parts.headers, body, retry_after });
        }
        let status = parts.status.as_u16();
        if !parts.status.is_client_error() && !parts.status.is_server_error() {
            return Err(AcmeError::lost(endpoint, Reason::Redirected(status)).into());
        }
        let problem = problem::read(status, &body, retry_after, now);
        if problem.kind == ProblemKind::BadNonce {
            return Err(Failed::BadNonce { endpoint, problem: problem.into(), fresh: nonce });
        }
        if let Some(nonce) = nonce {
            self.nonces.put(nonce, now);
        }
        Err(AcmeError::Refused { endpoint, problem }.into())
    }

    /// A nonce for a request to `endpoint`: from the pool, or asked for. A failure means that the request itself
    /// was not sent.
    pub(crate) async fn nonce(&self, endpoint: Endpoint, new_nonce_url: &str) -> Result<Nonce, AcmeError> {
        if let Some(nonce) = self.nonces.take(self.clock.now()) {
            return Ok(nonce);
        }
        match self.send(Endpoint::NewNonce, new_nonce_url, Sending::Head).await {
            Ok(answer) => {
                nonce_in(&answer.headers).ok_or_else(|| AcmeError::not_sent(endpoint, Reason::NoNonce))
            }
            Err(failed) => Err(match AcmeError::from(failed) {
                refused @ AcmeError::Refused { .. } => refused,
                error => AcmeError::not_sent(endpoint, Reason::Nonce(Box::new(error))),
            }),
        }
    }
}

/// For its trace: never the body, nor a query.
fn note_request(ca: &str, endpoint: Endpoint, request: &Request<Bytes>) {
    let uri = request.uri();
    traces::note("http.request.method", request.method().as_str());
    let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    traces::note("url.full", format!("{scheme}://{authority}{}", uri.path()));
    traces::note("server.address", host);
    if let Some(port) = uri.port_u16() {
        traces::note("server.port", port);
    }
    traces::note("acme.ca", ca);
    traces::note("acme.endpoint", endpoint.as_str());
}

fn note_answer(exchanged: &Result<Response<Bytes>, AcmeError>) {
    match exchanged {
        Ok(response) => {
            let status = response.status();
            traces::note("http.response.status_code", status.as_u16());
            if !status.is_success() {
                traces::fail(status.as_str());
            }
        }
        Err(AcmeError::NotSent { .. }) => traces::fail("not_sent"),
        Err(_) => traces::fail("lost"),
    }
}

/// To the step that sent the request.
fn note_problem(judged: &Result<Answer, Failed>) {
    if let Err(Failed::Otherwise(AcmeError::Refused { problem, .. })) = judged {
        traces::note("acme.problem.type", format!("urn:ietf:params:acme:error:{}", problem.kind));
        traces::fail(problem.kind.to_string());
    }
}

/// A request that did not end well.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Not executed, and worth another try with the nonce that came along.
    BadNonce {
        endpoint: Endpoint,
        problem: Box<Problem>,
        fresh: Option<Nonce>,
    },
    Otherwise(AcmeError),
}

impl From<AcmeError> for Failed {
    fn from(error: AcmeError) -> Self {
        Self::Otherwise(error)
    }
}

impl From<Failed> for AcmeError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::BadNonce { endpoint, problem, .. } => Self::Refused { endpoint, problem: *problem },
            Failed::Otherwise(error) => error,
        }
    }
}

fn nonce_in(headers: &HeaderMap) -> Option<Nonce> {
    Nonce::parse(headers.get(REPLAY_NONCE)?.to_str().ok()?)
}

fn smoothing(requests_per_second: u32) -> Option<DefaultDirectRateLimiter> {
    let rate = NonZeroU32::new(requests_per_second)?;
    let burst = NonZeroU32::new(requests_per_second / BURST_SHARE).unwrap_or(NonZeroU32::MIN);
    Some(RateLimiter::direct(Quota::per_second(rate).allow_burst(burst)))
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient")
            .field("ca", &self.ca)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use ::http::StatusCode;
    use issuance::time::Timestamp;
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::super::transport::Exchange;
    use super::*;
    use crate::clock::DrivenClock;

    const URL: &str = "https://ca.test/acme/order/1";

    /// Answers with what it was given, last first, and keeps what it was asked.
    #[derive(Debug)]
    struct Canned {
        answers: Mutex<Vec<Result<Response<Bytes>, TransportError>>>,
        asked: Mutex<Vec<Request<Bytes>>>,
    }

    impl Transport for Canned {
        fn exchange(&self, _: Endpoint, request: Request<Bytes>) -> Exchange<'_> {
            self.asked.lock().unwrap().push(request);
            let answer = self.answers.lock().unwrap().pop();
            Box::pin(async move { answer.expect("an answer for every request") })
        }
    }

    fn status(code: StatusCode) -> Response<Bytes> {
        Response::builder().status(code).body(Bytes::new()).unwrap()
    }

    fn client(answers: Vec<Result<Response<Bytes>, TransportError>>) -> (HttpClient, Arc<Canned>) {
        let rates = RequestRates {
            new_nonce: 0,
            new_account: 0,
            new_order: 0,
            revoke_cert: 0,
            renewal_info: 0,
            directory: 0,
            other: 0,
        };
        let canned = Arc::new(Canned { answers: Mutex::new(answers), asked: Mutex::default() });
        let origin = Origin::of("https://ca.test/directory").unwrap();
        let clock = Arc::new(DrivenClock::starting_at(Timestamp::EPOCH));
        let transport = Arc::<Canned>::clone(&canned);
        (HttpClient::new("c".into(), origin, &rates, Timeouts::default(), clock, transport), canned)
    }

    #[tokio::test]
    async fn every_request_is_counted_by_how_it_ended() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let (client, _) = client(vec![
            Ok(status(StatusCode::SERVICE_UNAVAILABLE)),
            Err(TransportError::Lost("reset".into())),
            Err(TransportError::NotSent("refused".into())),
            Ok(status(StatusCode::OK)),
            Ok(status(StatusCode::OK)),
        ]);
        let mut ends = Vec::new();
        for _ in 0..5 {
            ends.push(client.send(Endpoint::Order, URL, Sending::Post(Bytes::new())).await.is_ok());
        }
        assert_eq!(ends, [true, true, false, false, false]);
        let shown = handle.render();
        for (code, count) in
            [("200", 2), ("201", 0), ("503", 1), ("not_sent", 1), ("lost", 1), ("timeout", 0)]
        {
            let line =
                format!(r#"lockkeeper_acme_requests_total{{ca="c",endpoint="order",code="{code}"}} {count}"#);
            assert!(shown.lines().any(|shown| shown == line), "{line} is not in:\n{shown}");
        }
        assert!(shown.lines().any(|line| line == r#"lockkeeper_acme_requests_in_flight{ca="c"} 0"#));
    }

    #[tokio::test]
    async fn a_request_says_who_sends_it_and_never_goes_elsewhere() {
        let (client, canned) = client(vec![Ok(status(StatusCode::OK))]);
        client.send(Endpoint::Order, URL, Sending::Post(Bytes::from_static(b"{}"))).await.unwrap();
        assert!(client.send(Endpoint::Order, "https://evil.test/", Sending::Get).await.is_err());
        let asked = canned.asked.lock().unwrap();
        let [request] = &asked[..] else { panic!("one request, not {}", asked.len()) };
        assert_eq!((request.method(), request.uri().to_string().as_str()), (&Method::POST, URL));
        assert_eq!(request.headers()[CONTENT_TYPE], "application/jose+json");
        assert!(request.headers()[USER_AGENT].to_str().unwrap().starts_with("lockkeeper/"));
    }
}
