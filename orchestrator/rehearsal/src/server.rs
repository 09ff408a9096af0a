//! The listener: connections, TLS, routes, and what every answer carries.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State as Shared};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::{HeaderValue, Method, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::ca::Ca;
use crate::directory::{self, Base};
use crate::faults::{self, Cut, Line, Refused};
use crate::problem::{Kind, Problem};
use crate::signed::{Peer, Requester};
use crate::{
    account, audit, authorization, certificate, challenge, finalize, key_change, limits, load_balancer,
    new_order, order, pausing, renewal_info, reply, revocation,
};

/// A peer that does not finish its TLS handshake in this time is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// After a failed accept, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

fn router(ca: &Arc<Ca>) -> Router {
    Router::new()
        .route("/directory", get(directory::read))
        .route("/acme/new-nonce", get(directory::new_nonce).head(directory::head_nonce))
        .route("/acme/new-acct", post(account::create))
        .route("/acme/acct/{account}", post(account::update))
        .route("/acme/acct/{account}/orders", post(account::orders))
        .route("/acme/new-order", post(new_order::create))
        .route("/acme/order/{account}/{order}", get(order::read).post(order::read))
        .route("/acme/authz/{account}/{authorization}", get(authorization::read).post(authorization::post))
        .route(
            "/acme/chall/{account}/{authorization}/{challenge}",
            get(challenge::read).post(challenge::post),
        )
        .route("/acme/finalize/{account}/{order}", post(finalize::post))
        .route("/acme/cert/{serial}", get(certificate::read).post(certificate::read))
        .route(
            "/acme/cert/{serial}/{chain}",
            get(certificate::read_alternate).post(certificate::read_alternate),
        )
        .route("/acme/key-change", post(key_change::post))
        .route("/acme/revoke-cert", post(revocation::post))
        .route("/acme/renewal-info/{certificate}", get(renewal_info::read))
        .route("/sfe/v1/unpause", get(pausing::page))
        .route("/sfe/v1/do-unpause", post(pausing::unpause))
        .route("/root.pem", get(directory::root))
        .route("/audit", get(audit::read))
        .route("/audit/authorizations", get(audit::read_authorizations))
        .route("/audit/orders", get(audit::read_orders))
        .route("/faults", get(faults::read).put(faults::replace))
        .route("/incidents", post(renewal_info::declare))
        .route("/limits", get(limits::read).put(limits::replace))
        // A fleet's worth of sets.
        .route("/history", post(limits::remember).layer(DefaultBodyLimit::disable()))
        .fallback(async || Problem::not_found("Page not found"))
        .method_not_allowed_fallback(async || {
            Problem::malformed("Method not allowed").with_status(StatusCode::METHOD_NOT_ALLOWED)
        })
        .layer(middleware::from_fn_with_state(Arc::clone(ca), dress))
        .layer(middleware::from_fn_with_state(Arc::clone(ca), faults::strike))
        .layer(middleware::from_fn_with_state(Arc::clone(ca), load_balancer::guard))
        .with_state(Arc::clone(ca))
}

/// Counts the request, and gives its answer what all answers have: a fresh nonce, a way back to the
/// directory, and no permission to cache.
async fn dress(Shared(ca): Shared<Arc<Ca>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let requester = Requester::default();
    parts.extensions.insert(requester.clone());
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    ca.traffic.request(route);
    let base = Base::of(&parts, &ca);
    let gives_nonce = parts.method == Method::POST || route == "/acme/new-nonce";
    let is_directory = route == "/directory";
    let mut response = match parts.extensions.remove::<Refused>() {
        Some(Refused(problem)) => problem.into_response(),
        None => next.run(Request::from_parts(parts, body)).await,
    };
    if let Some(kind) = response.extensions().get::<Kind>() {
        ca.traffic.problem(*kind, response.status());
    }
    if gives_nonce && let Ok(nonce) = HeaderValue::from_str(&ca.nonces.issue(&ca.chance)) {
        response.headers_mut().insert("replay-nonce", nonce);
    }
    if let Some(account) = requester.account() {
        response.headers_mut().insert("boulder-requester", HeaderValue::from(account.value()));
    }
    if !is_directory {
        reply::add_first_link(&mut response, &base.url("/directory"), "index");
    }
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("public, max-age=0, no-cache"));
    if ca.clock.skew_ms() != 0 {
        ca.faults.count("clock_skew");
        reply::set_date(&mut response, ca.clock.now());
    }
    response
}

/// Accepts until the CA is stopped; then lets connections finish the request they are in.
pub(crate) async fn serve(ca: Arc<Ca>, listener: TcpListener, tls: Option<TlsAcceptor>) {
    let router = router(&ca);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = ca.stop.cancelled() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "A connection could not be accepted"
                );
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let service = Connection { ca: Arc::clone(&ca), router: router.clone(), peer: Peer(peer.ip()) };
        ca.tasks.spawn(service.run(stream, tls.clone()));
    }
}

struct Connection {
    ca: Arc<Ca>,
    router: Router,
    peer: Peer,
}

impl Connection {
    async fn run(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        // Answers are small: waiting for more to send costs 40 ms each.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(error = &error as &dyn std::error::Error, "A connection keeps its delay");
        }
        let cut = Cut::default();
        let line = Line::new(stream, cut.clone());
        let Some(tls) = tls else { return self.serve(line, cut).await };
        match self.until_stop(tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(line))).await {
            Some(Ok(Ok(stream))) => self.serve(stream, cut).await,
            Some(Ok(Err(error))) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "A TLS handshake failed");
            }
            Some(Err(_)) | None => (),
        }
    }

    async fn until_stop<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.ca.stop.cancelled() => None,
        }
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, cut: Cut) {
        let Self { ca, router, peer } = self;
        let (to_cut, answers) = (cut.clone(), Arc::clone(&ca));
        let service = service_fn(move |request: http::Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(to_cut.clone());
            let (router, ca) = (router.clone(), Arc::clone(&answers));
            async move {
                let _answering = ca.activity.answering();
                Ok::<_, Infallible>(router.oneshot(request).await.into_response())
            }
        });
        let builder = auto::Builder::new(TokioExecutor::new());
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = cut.made() => return,
            () = ca.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection => ended,
                    () = cut.made() => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error = &*error, "A connection ended early");
        }
    }
}
