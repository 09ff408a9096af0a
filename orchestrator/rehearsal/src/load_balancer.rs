//! What stands in front of the CA: it counts requests by address and endpoint, and knows nothing of accounts.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State as Shared};
use axum::middleware::Next;
use axum::response::Response;
use http::StatusCode;
use issuance::gcra::{Bucket, Decision};
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ca::Ca;
use crate::endpoint::Endpoint;
use crate::reply;
use crate::signed::Peer;

const BUSY_PAGE: &str = "<html>\n<head><title>503 Service Temporarily Unavailable</title></head>\n<body>\n\
    <center><h1>503 Service Temporarily Unavailable</h1></center>\n</body>\n</html>\n";

/// How often one address may ask these endpoints, together and by the CA's clock; what is more is answered 503. A clock
/// that stands still gives nothing back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestRate {
    pub endpoints: Vec<Endpoint>,
    pub per_second: u32,
    pub burst: u32,
}

impl RequestRate {
    /// Those that Let's Encrypt publishes.
    pub fn letsencrypt() -> Vec<Self> {
        Self::table((300, 200), (250, 125))
    }

    /// Those of its staging environment.
    pub fn letsencrypt_staging() -> Vec<Self> {
        Self::table((20, 40), (20, 20))
    }

    fn table(new_order: (u32, u32), rest: (u32, u32)) -> Vec<Self> {
        const REST: [Endpoint; 8] = [
            Endpoint::Account,
            Endpoint::Orders,
            Endpoint::Order,
            Endpoint::Authorization,
            Endpoint::Challenge,
            Endpoint::Finalize,
            Endpoint::Certificate,
            Endpoint::KeyChange,
        ];
        let rate = |endpoints: &[Endpoint], (per_second, burst)| Self {
            endpoints: endpoints.to_vec(),
            per_second,
            burst,
        };
        vec![
            rate(&[Endpoint::NewNonce], (20, 10)),
            rate(&[Endpoint::NewAccount], (5, 15)),
            rate(&[Endpoint::NewOrder], new_order),
            rate(&[Endpoint::RevokeCertificate], (10, 100)),
            rate(&[Endpoint::RenewalInfo], (1_000, 100)),
            rate(&REST, rest),
            rate(&[Endpoint::Directory], (40, 40)),
        ]
    }
}

#[derive(Debug)]
pub(crate) struct LoadBalancer {
    /// By endpoint: which rate, and its bucket.
    rates: HashMap<Endpoint, (usize, Bucket)>,
    full_at: Mutex<HashMap<(usize, IpAddr), Timestamp>>,
    turned_away: AtomicU64,
}

impl LoadBalancer {
    /// A rate of nothing, or of more than one request a microsecond, is none.
    pub(crate) fn new(rates: &[RequestRate]) -> Self {
        let rates = rates.iter().enumerate().filter_map(|(place, rate)| {
            let bucket = Bucket::new(rate.burst, rate.per_second, Duration::from_secs(1))?;
            Some(rate.endpoints.iter().map(move |endpoint| (*endpoint, (place, bucket))))
        });
        Self { rates: rates.flatten().collect(), full_at: Mutex::default(), turned_away: AtomicU64::new(0) }
    }

    /// How long to wait, if it is too much.
    fn ask(&self, endpoint: Endpoint, address: IpAddr, now: Timestamp) -> Option<Duration> {
        let (place, bucket) = *self.rates.get(&endpoint)?;
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = full_at.entry((place, address)).or_default();
        match bucket.spend(*full_at, 1, now) {
            Decision::Granted { full_at: after } => {
                *full_at = after;
                None
            }
            Decision::Denied { retry_at } => {
                self.turned_away.fetch_add(1, Ordering::Relaxed);
                Some(now.until(retry_at))
            }
        }
    }

    pub(crate) fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }
}

/// The outermost layer.
pub(crate) async fn guard(Shared(ca): Shared<Arc<Ca>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let asked = Endpoint::of_route(route).zip(request.extensions().get::<Peer>());
    let wait = asked.and_then(|(endpoint, peer)| ca.load_balancer.ask(endpoint, peer.0, ca.clock.now()));
    match wait {
        Some(wait) => busy_page(wait.as_secs() + 1),
        None => next.run(request).await,
    }
}

/// HTML with a wait, and none of the CA's headers.
pub(crate) fn busy_page(retry_after_seconds: u64) -> Response {
    let mut response = reply::with_body(StatusCode::SERVICE_UNAVAILABLE, "text/html", BUSY_PAGE);
    reply::set_retry_after(&mut response, retry_after_seconds);
    response
}
