//! A proxy in front of Pebble that writes down which authorizations every new-order makes, and can be slow.
//!
//! All traffic passes it: Pebble makes its URLs from the Host header, which is kept. HTTPS on both sides, because
//! Pebble accepts signatures over `https` URLs only.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rehearsal::pebble::Pebble;
use rustls::ServerConfig;
use rustls_pki_types::PrivatePkcs8KeyDer;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::https_client::{self, HttpsClient};

/// Pebble's path of new-order.
const NEW_ORDER: &str = "/order-plz";
/// Pebble's paths of challenges begin with this.
const CHALLENGE: &str = "/chalZ/";

/// How slow the proxy is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Manners {
    /// new-order is executed at once, and its answer held back for this long.
    pub new_order_delay: Duration,
    /// Challenge POSTs are held for this long, and not passed on once the client is gone.
    pub challenge_delay: Duration,
}

/// What has passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Orders that Pebble has made.
    pub orders_made: usize,
    /// Orders whose answer was handed on to the client.
    pub orders_answered: usize,
    /// Challenge POSTs that came, passed on or not.
    pub challenges_seen: usize,
    /// Challenge POSTs that Pebble has answered with success.
    pub challenges_accepted: usize,
}

#[derive(Debug)]
pub struct AcmeProxy {
    address: SocketAddr,
    root_pem: String,
    relay: Arc<Relay>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Relay {
    upstream: SocketAddr,
    client: HttpsClient,
    manners: Mutex<Manners>,
    /// Of every order that Pebble has made.
    authorizations: Mutex<Vec<String>>,
    progress: watch::Sender<Progress>,
}

impl AcmeProxy {
    pub async fn start(pebble: &Pebble) -> anyhow::Result<Self> {
        let upstream: Uri = pebble.directory_url.parse()?;
        let upstream = upstream.authority().context("a URL")?.as_str().parse()?;
        let (acceptor, root_pem) = tls()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let relay = Arc::new(Relay {
            upstream,
            client: https_client::new(&pebble.root_pem)?,
            manners: Mutex::default(),
            authorizations: Mutex::default(),
            progress: watch::Sender::new(Progress::default()),
        });
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (shared, connections, stopping) = (Arc::clone(&relay), tasks.clone(), stop.clone());
        tasks.spawn(async move {
            while let Some(Ok((stream, _))) = stopping.run_until_cancelled(listener.accept()).await {
                let (relay, acceptor, stopping) = (Arc::clone(&shared), acceptor.clone(), stopping.clone());
                connections.spawn(async move {
                    stopping.run_until_cancelled(serve(relay, acceptor, stream)).await;
                });
            }
        });
        Ok(Self { address, root_pem, relay, tasks, stop })
    }

    pub fn directory_url(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    /// The root of the proxy's own certificate.
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// For requests that come from now on.
    pub fn behave(&self, manners: Manners) {
        *self.relay.manners.lock().unwrap_or_else(PoisonError::into_inner) = manners;
    }

    /// The URLs of all authorizations of all orders that Pebble has made.
    pub fn authorizations(&self) -> Vec<String> {
        self.relay.authorizations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn progress(&self) -> Progress {
        *self.relay.progress.borrow()
    }

    /// Waits until enough has passed.
    pub async fn wait_for(
        &self,
        within: Duration,
        enough: impl FnMut(&Progress) -> bool,
    ) -> anyhow::Result<Progress> {
        let mut progress = self.relay.progress.subscribe();
        match tokio::time::timeout(within, progress.wait_for(enough)).await {
            Ok(reached) => Ok(*reached?),
            Err(_) => bail!("only {:?} within {within:?}", self.progress()),
        }
    }

    /// Closes every connection.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn serve(relay: Arc<Relay>, acceptor: TlsAcceptor, stream: TcpStream) {
    // Answers are small: waiting for more to send costs 40 ms each.
    let _ = stream.set_nodelay(true);
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(move |request| {
        let relay = Arc::clone(&relay);
        async move {
            Ok::<_, Infallible>(relay.answer(request).await.unwrap_or_else(|error| {
                let mut response = Response::new(Full::from(format!("{error:#}")));
                *response.status_mut() = StatusCode::BAD_GATEWAY;
                response
            }))
        }
    });
    // A client that was killed ends its connection early: that is what the tests are about.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

impl Relay {
    /// hyper drops this when the client is gone.
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> anyhow::Result<Response<Full<Bytes>>> {
        let manners = *self.manners.lock().unwrap_or_else(PoisonError::into_inner);
        let path = request.uri().path().to_owned();
        if path.starts_with(CHALLENGE) {
            self.progress.send_modify(|progress| progress.challenges_seen += 1);
            tokio::time::sleep(manners.challenge_delay).await;
        }
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let is_order = path == NEW_ORDER;
        // In a task of its own: what has reached the CA is executed, whoever is gone meanwhile.
        let relay = Arc::clone(&self);
        let forwarded = tokio::spawn(async move {
            let response = relay.forward(Request::from_parts(parts, body)).await?;
            if is_order && response.status() == StatusCode::CREATED {
                relay.write_down(response.body())?;
            }
            anyhow::Ok(response)
        });
        let response = forwarded.await??;
        if path.starts_with(CHALLENGE) && response.status().is_success() {
            self.progress.send_modify(|progress| progress.challenges_accepted += 1);
        }
        // A refused nonce is answered at once.
        if is_order && response.status() == StatusCode::CREATED {
            tokio::time::sleep(manners.new_order_delay).await;
            self.progress.send_modify(|progress| progress.orders_answered += 1);
        }
        Ok(response.map(Full::from))
    }

    async fn forward(&self, mut request: Request<Bytes>) -> anyhow::Result<Response<Bytes>> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        *request.uri_mut() = format!("https://{}{path}", self.upstream).parse()?;
        let response = self.client.request(request.map(Full::from)).await?;
        let (mut parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        parts.headers.remove(http::header::TRANSFER_ENCODING);
        Ok(Response::from_parts(parts, body))
    }

    fn write_down(&self, order: &Bytes) -> anyhow::Result<()> {
        let order: Value = serde_json::from_slice(order)?;
        let urls = order["authorizations"].as_array().context("an order has authorizations")?;
        let urls = urls.iter().filter_map(Value::as_str).map(str::to_owned);
        self.authorizations.lock().unwrap_or_else(PoisonError::into_inner).extend(urls);
        self.progress.send_modify(|progress| progress.orders_made += 1);
        Ok(())
    }
}

/// A certificate for loopback, and the root it verifies against.
fn tls() -> anyhow::Result<(TlsAcceptor, String)> {
    let mut root = CertificateParams::new(Vec::new())?;
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name.push(rcgen::DnType::CommonName, "The proxy's root");
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()])?.signed_by(&key, &root)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())?;
    Ok((TlsAcceptor::from(Arc::new(config)), root.pem()))
}
