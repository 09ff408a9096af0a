//! One attempt: one request to one checked address, with a deadline, and no redirect followed.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::Request;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use issuance::time::Timestamp;
use issuance::webhook::{Outcome, TIMEOUT};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::message::Message;
use super::receiver::Receiver;
use crate::challenge::address::AddressPolicy;
use crate::challenge::location::{Host, Scheme};
use crate::challenge::resolver::NameResolver;

/// What is read of a body before the connection is closed: some receivers stop working when their answer is cut off.
/// Nothing of it is kept.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// A longer response head is no answer.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Addresses of one name that are tried one after the other.
const ADDRESSES_TRIED: usize = 3;
const CONNECT_WAIT: Duration = Duration::from_secs(5);
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("lockkeeper/", env!("CARGO_PKG_VERSION"), " (webhooks)"));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Sends messages. No proxy, no cookies, no redirects, no connection kept.
pub struct Sender {
    resolver: Arc<NameResolver>,
    policy: Arc<AddressPolicy>,
    tls: TlsConnector,
    timeout: Duration,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) outcome: Outcome,
    pub(super) status: Option<u16>,
    pub(super) retry_after: Option<Duration>,
    /// For whoever owns the receiver; nothing of what it has sent.
    pub(super) detail: Option<String>,
}

impl Reply {
    pub(super) fn failed(outcome: Outcome, detail: &impl ToString) -> Self {
        Self { outcome, status: None, retry_after: None, detail: Some(detail.to_string()) }
    }
}

/// The roots of receivers cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SenderSetUpError {
    #[error("the extra root for webhooks is no PEM certificate")]
    Root(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("could not set up TLS for webhooks")]
    Tls(#[from] rustls::Error),
}

impl Sender {
    /// Trusts the machine's roots (`SSL_CERT_FILE` and `SSL_CERT_DIR` respected), and those in `extra_root_pem`.
    pub fn new(
        resolver: Arc<NameResolver>,
        policy: Arc<AddressPolicy>,
        extra_root_pem: Option<&str>,
    ) -> Result<Self, SenderSetUpError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for root in CertificateDer::pem_slice_iter(extra_root_pem.unwrap_or_default().as_bytes()) {
            let root = root.map_err(|error| SenderSetUpError::Root(error.into()))?;
            roots.add(root).map_err(|error| SenderSetUpError::Root(error.into()))?;
        }
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let mut config = ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { resolver, policy, tls: TlsConnector::from(Arc::new(config)), timeout: TIMEOUT })
    }

    pub(super) fn policy(&self) -> &AddressPolicy {
        &self.policy
    }

    /// Sends `message` once.
    pub(super) async fn send(&self, receiver: &Receiver, message: &Message, now: Timestamp) -> Reply {
        let deadline = Instant::now() + self.timeout;
        let sent = timeout_at(deadline, self.attempt(receiver, message, now)).await;
        sent.unwrap_or_else(|_| {
            let seconds = self.timeout.as_secs();
            Err(Reply::failed(Outcome::Timeout, &format_args!("no whole answer within {seconds} seconds")))
        })
        .unwrap_or_else(|failed| failed)
    }

    async fn attempt(&self, receiver: &Receiver, message: &Message, now: Timestamp) -> Result<Reply, Reply> {
        let addresses = self.addresses(receiver).await?;
        let stream = connect(&addresses, receiver.port).await?;
        match receiver.scheme {
            Scheme::Http => exchange(stream, receiver, message, now).await,
            Scheme::Https => {
                let name = match &receiver.host {
                    Host::Name(name) => ServerName::try_from(String::from(&**name))
                        .map_err(|error| Reply::failed(Outcome::Tls, &error))?,
                    Host::Address(address) => ServerName::from(*address),
                };
                let stream = self.tls.connect(name, stream).await.map_err(|error| {
                    Reply::failed(Outcome::Tls, &format_args!("no encrypted connection: {error}"))
                })?;
                exchange(stream, receiver, message, now).await
            }
        }
    }

    /// Resolved anew for each attempt, and every one held to the policy: what is connected to is what was checked, so that
    /// DNS cannot answer differently in between.
    async fn addresses(&self, receiver: &Receiver) -> Result<Vec<IpAddr>, Reply> {
        let addresses: Vec<IpAddr> = match &receiver.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => {
                let found = self.resolver.lookup_name(name).await;
                let found = found.map_err(|fault| {
                    Reply::failed(Outcome::Unreachable, &format_args!("the name leads nowhere: {fault}"))
                })?;
                found.iter().collect()
            }
        };
        for address in &addresses {
            self.policy
                .check_reachable(*address)
                .map_err(|refusal| Reply::failed(Outcome::Forbidden, &refusal))?;
        }
        Ok(addresses)
    }
}

async fn connect(addresses: &[IpAddr], port: u16) -> Result<TcpStream, Reply> {
    let mut failed = Reply::failed(Outcome::Unreachable, &"the name has no address");
    for address in addresses.iter().take(ADDRESSES_TRIED) {
        let peer = SocketAddr::new(*address, port);
        failed = match tokio::time::timeout(CONNECT_WAIT, TcpStream::connect(peer)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => Reply::failed(Outcome::Unreachable, &format_args!("{peer}: {error}")),
            Err(_) => Reply::failed(Outcome::Timeout, &format_args!("{peer}: no connection")),
        };
    }
    Err(failed)
}

async fn exchange<S>(
    stream: S,
    receiver: &Receiver,
    message: &Message,
    now: Timestamp,
) -> Result<Reply, Reply>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let broken = |error: hyper::Error| {
        Reply::failed(Outcome::Unreachable, &format_args!("the connection broke: {error}"))
    };
    let request = Request::post(&*receiver.path)
        .header(HOST, receiver.authority())
        .header(USER_AGENT, AGENT)
        .header(CONTENT_TYPE, JSON)
        .header(CONNECTION, HeaderValue::from_static("close"))
        .header("webhook-id", &message.id)
        .header("webhook-timestamp", message.timestamp)
        .header("webhook-signature", &message.signatures)
        .body(Full::new(Bytes::clone(&message.body)))
        .map_err(|error| Reply::failed(Outcome::Unreachable, &error))?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let conversation = std::pin::pin!(async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let retry_after = retry_after(response.headers(), now);
        let mut body = response.into_body();
        let mut left = BODY_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
        let outcome = Outcome::of_status(status.as_u16());
        let detail = match outcome {
            Outcome::Delivered => None,
            _ if status.is_redirection() => Some(format!("{status}: redirects are not followed")),
            _ => Some(status.to_string()),
        };
        Ok(Reply { outcome, status: Some(status.as_u16()), retry_after, detail })
    });
    match select(conversation, std::pin::pin!(connection)).await {
        Either::Left((outcome, _)) => outcome,
        // The connection may end first and leave the last of the body to be read.
        Either::Right((_, conversation)) => conversation.await,
    }
}

/// `Retry-After` as seconds or as a date (RFC 9110 §10.2.3), as a wait from `now`.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    OffsetDateTime::parse(text, &Rfc2822).ok().map(|at| now.until(at.into()))
}

#[cfg(test)]
mod tests;
