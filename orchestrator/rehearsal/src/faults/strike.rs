//! Faults between the connection and the CA.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{self, Body, Bytes};
use axum::extract::{MatchedPath, Request, State as Shared};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, StreamExt as _};
use http::{HeaderValue, Method, StatusCode, header};
use serde::Deserialize;

use super::armed::Release;
use super::effect::Effect;
use super::line::Cut;
use crate::ca::Ca;
use crate::endpoint::Endpoint;
use crate::load_balancer;
use crate::problem::{Kind, Problem};
use crate::reply;
use crate::signed::{BODY_BYTES_MAX, Peer};

/// Time for what was written to leave the machine before the connection is cut.
const LEAVING: Duration = Duration::from_millis(20);
/// The largest answer is a chain.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// What a request is answered with in place of being executed, dressed as every answer of the CA.
#[derive(Debug, Clone)]
pub(crate) struct Refused(pub(crate) Problem);

/// The outermost layer. What it strikes over the connection never comes back from here: the connection is gone.
pub(crate) async fn strike(Shared(ca): Shared<Arc<Ca>>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let Some(mut endpoint) = Endpoint::of_route(route) else { return next.run(request).await };
    if endpoint == Endpoint::Authorization && request.method() == Method::POST {
        (request, endpoint) = tell_apart(request).await;
    }
    request.extensions_mut().insert(endpoint);
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    let Some(effect) = ca.draw(endpoint, peer, Effect::is_on_the_wire) else {
        return next.run(request).await;
    };
    let cut = request.extensions().get::<Cut>().cloned().unwrap_or_default();
    let refuse = async |mut request: Request, problem: Problem| {
        request.extensions_mut().insert(Refused(problem));
        next.clone().run(request).await
    };
    match effect {
        Effect::DropRequest => {
            cut.close();
            std::future::pending().await
        }
        Effect::DropResponse => {
            drop(next.run(request).await);
            cut.close();
            std::future::pending().await
        }
        Effect::ResetBody => halved(next.run(request).await, move || cut.reset()).await,
        Effect::TruncateBody => halved(next.run(request).await, move || cut.close()).await,
        Effect::DelayRequest { ms } => delayed(&ca, request, next, Duration::from_millis(ms)).await,
        Effect::DelayResponse { ms } => {
            let response = next.run(request).await;
            ca.wait(Duration::from_millis(ms)).await;
            response
        }
        Effect::HoldRequest => {
            // A client's end is seen only once all it has sent is read.
            let (request, _) = with_whole_body(request).await;
            if ca.hold().await == Release::Drop {
                cut.close();
                return std::future::pending().await;
            }
            next.run(request).await
        }
        Effect::HoldResponse => {
            let response = next.run(request).await;
            if ca.hold().await == Release::Drop {
                cut.close();
                return std::future::pending().await;
            }
            response
        }
        Effect::ServerInternal { detail, executed: false } => {
            refuse(request, Problem::new(Kind::ServerInternal, detail)).await
        }
        Effect::ServerInternal { detail, executed: true } => {
            let (parts, _) = next.run(request).await.into_parts();
            ca.traffic.problem(Kind::ServerInternal, StatusCode::INTERNAL_SERVER_ERROR);
            let mut response = Problem::new(Kind::ServerInternal, detail).into_response();
            for name in ["replay-nonce", "boulder-requester", "cache-control"] {
                if let Some(value) = parts.headers.get(name) {
                    response.headers_mut().insert(name, value.clone());
                }
            }
            response
        }
        Effect::Unavailable { retry_after_seconds, executed } => {
            if executed {
                drop(next.run(request).await);
            }
            load_balancer::busy_page(retry_after_seconds)
        }
        Effect::RateLimited { retry_after_seconds } => {
            let wait = retry_after_seconds.map(Duration::from_secs);
            refuse(request, Problem::rate_limited("too many requests", wait)).await
        }
        Effect::Busy { retry_after_seconds } => {
            let wait = Duration::from_secs(retry_after_seconds);
            refuse(request, Problem::busy(wait)).await
        }
        Effect::MalformedJson => torn(next.run(request).await).await,
        Effect::EmptyPage => {
            drop(next.run(request).await);
            reply::with_body(StatusCode::OK, "text/html", "")
        }
        Effect::WithoutLocation => without(next.run(request).await, "location"),
        Effect::WithoutNonce => without(next.run(request).await, "replay-nonce"),
        Effect::RegistrationOutage { after_ms } => {
            ca.wait(Duration::from_millis(after_ms)).await;
            refuse(request, Problem::new(Kind::ServerInternal, "Error creating new order")).await
        }
        Effect::StorageOutage { after_ms } => {
            ca.wait(Duration::from_millis(after_ms)).await;
            refuse(request, Problem::new(Kind::ServerInternal, "Unable to validate JWS")).await
        }
        Effect::DatabaseOutage { after_ms } => {
            ca.wait(Duration::from_millis(after_ms)).await;
            let detail = "Failure while checking pause status of identifiers";
            refuse(request, Problem::new(Kind::ServerInternal, detail)).await
        }
        // Those in the CA itself; none is on the wire.
        Effect::BadNonce
        | Effect::DeactivateAccount
        | Effect::ShortLifetime { .. }
        | Effect::SlowPlacement { .. }
        | Effect::UnknownYet { .. }
        | Effect::StaleOrder
        | Effect::SlowValidation { .. }
        | Effect::HoldValidation
        | Effect::StuckProcessing { .. }
        | Effect::SigningOutage { .. }
        | Effect::AsyncSigningOutage { .. }
        | Effect::LogOutage { .. }
        | Effect::ValidationOutage { .. }
        | Effect::LimitStoreOutage { .. } => next.run(request).await,
    }
}

/// Whether a POST to an authorization reads or deactivates it, which only its payload says (RFC 8555 §7.5.2).
async fn tell_apart(request: Request) -> (Request, Endpoint) {
    #[derive(Deserialize)]
    struct Sent {
        payload: String,
    }

    let (request, body) = with_whole_body(request).await;
    let reads = serde_json::from_slice::<Sent>(&body).is_ok_and(|sent| sent.payload.is_empty());
    (request, if reads { Endpoint::Authorization } else { Endpoint::Deactivation })
}

/// A request that does not need its connection any more.
async fn with_whole_body(request: Request) -> (Request, Bytes) {
    let (parts, body) = request.into_parts();
    // What is too large or torn is refused for being empty.
    let body = body::to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
    (Request::from_parts(parts, Body::from(body.clone())), body)
}

/// In a task, since a client that leaves would take its request along.
async fn delayed(ca: &Arc<Ca>, request: Request, next: Next, delay: Duration) -> Response {
    let (request, _) = with_whole_body(request).await;
    let waiting = Arc::clone(ca);
    let executed = ca.tasks.spawn(async move {
        waiting.wait(delay).await;
        next.run(request).await
    });
    match executed.await {
        Ok(response) => response,
        Err(_) => Problem::new(Kind::ServerInternal, "The request was lost").into_response(),
    }
}

/// The head, half of the body, and then the cut.
async fn halved(response: Response, cut: impl FnOnce() + Send + 'static) -> Response {
    let (mut parts, body) = response.into_parts();
    let whole = body::to_bytes(body, ANSWER_BYTES_MAX).await.unwrap_or_default();
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let half = whole.slice(..whole.len() / 2);
    let end = async move {
        tokio::time::sleep(LEAVING).await;
        cut();
        std::future::pending().await
    };
    let pieces = stream::once(async { Ok::<_, Infallible>(half) }).chain(stream::once(end));
    Response::from_parts(parts, Body::from_stream(pieces))
}

/// Half of the body, well framed.
async fn torn(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let whole = body::to_bytes(body, ANSWER_BYTES_MAX).await.unwrap_or_default();
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(whole.slice(..whole.len() / 2)))
}

fn without(mut response: Response, name: &str) -> Response {
    response.headers_mut().remove(name);
    response
}
