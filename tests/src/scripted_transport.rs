//! A way to the CA on which a script decides what becomes of each request and of its answer.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use lockkeeper::acme::transport::{Exchange, HyperTransport, TransportError};
use lockkeeper::acme::{Endpoint, Transport};
use tokio::sync::watch;

/// What becomes of one exchange.
#[derive(Debug)]
pub enum Fate {
    Pass,
    /// The CA never gets it, and its sender knows.
    NotSent,
    /// The CA never gets it, and its sender does not know.
    RequestLost,
    /// The CA executes it; its answer is lost.
    AnswerLost,
    /// The CA never gets it, and its sender waits for ever.
    Hang,
    /// The CA executes it, and its sender waits for ever.
    AnswerHangs,
    /// The CA never gets it; this is the answer.
    Answer(Response<Bytes>),
    /// The CA executes it; this is the answer.
    AnswerWith(Response<Bytes>),
    /// The CA executes it; its answer's body is changed.
    Rewrite(fn(&mut serde_json::Value)),
}

/// A request, as far as scripts tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    pub endpoint: Endpoint,
    /// Reads (RFC 8555 §6.3: POST-as-GET) and writes of one endpoint are counted apart.
    pub kind: CallKind,
    /// How many of the same endpoint and kind there were before.
    pub nth: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallKind {
    Read,
    Write,
}

impl Call {
    pub fn reads(&self, endpoint: Endpoint) -> bool {
        self.endpoint == endpoint && self.kind == CallKind::Read
    }

    pub fn writes(&self, endpoint: Endpoint) -> bool {
        self.endpoint == endpoint && self.kind == CallKind::Write
    }

    /// Deactivates an authorization.
    pub fn deactivates(&self) -> bool {
        self.writes(Endpoint::Authorization)
    }
}

type Script = Box<dyn FnMut(Call) -> Fate + Send>;

pub struct ScriptedTransport {
    inner: HyperTransport,
    script: Mutex<Script>,
    counts: Mutex<HashMap<(Endpoint, CallKind), usize>>,
    hanging: watch::Sender<usize>,
}

impl ScriptedTransport {
    /// To a CA over plain HTTP.
    pub fn new(script: impl FnMut(Call) -> Fate + Send + 'static) -> anyhow::Result<Arc<Self>> {
        Self::trusting(None, script)
    }

    /// To a CA whose server's certificate is signed by that root.
    pub fn trusting(
        root_pem: Option<&str>,
        script: impl FnMut(Call) -> Fate + Send + 'static,
    ) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            inner: HyperTransport::new(root_pem, Duration::from_secs(5))?,
            script: Mutex::new(Box::new(script)),
            counts: Mutex::default(),
            hanging: watch::Sender::new(0),
        }))
    }

    /// From now on by another script.
    pub fn go_on(&self, script: impl FnMut(Call) -> Fate + Send + 'static) {
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(script);
    }

    /// How many such requests there were.
    pub fn count(&self, endpoint: Endpoint, kind: CallKind) -> usize {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(&(endpoint, kind)).copied().unwrap_or(0)
    }

    /// Waits until so many senders wait for ever.
    pub async fn hang(&self, senders: usize, within: Duration) -> anyhow::Result<()> {
        let mut hanging = self.hanging.subscribe();
        let waited = tokio::time::timeout(within, hanging.wait_for(|count| *count >= senders)).await;
        waited.with_context(|| format!("not within {within:?}: {senders} requests hang"))??;
        Ok(())
    }

    fn fate(&self, endpoint: Endpoint, request: &Request<Bytes>) -> Fate {
        let kind = if writes(request) { CallKind::Write } else { CallKind::Read };
        let nth = {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry((endpoint, kind)).or_default();
            *count += 1;
            *count - 1
        };
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        script(Call { endpoint, kind, nth })
    }

    async fn stand_still(&self) -> ! {
        self.hanging.send_modify(|count| *count += 1);
        std::future::pending().await
    }
}

/// A JWS whose payload is not empty.
fn writes(request: &Request<Bytes>) -> bool {
    let body: Option<serde_json::Value> = serde_json::from_slice(request.body()).ok();
    body.is_some_and(|body| body["payload"].as_str().is_some_and(|payload| !payload.is_empty()))
}

impl Transport for ScriptedTransport {
    fn exchange(&self, endpoint: Endpoint, request: Request<Bytes>) -> Exchange<'_> {
        let fate = self.fate(endpoint, &request);
        Box::pin(async move {
            let executed = |request| self.inner.exchange(endpoint, request);
            match fate {
                Fate::Pass => executed(request).await,
                Fate::NotSent => Err(TransportError::NotSent("scripted".into())),
                Fate::RequestLost => Err(TransportError::Lost("scripted".into())),
                Fate::AnswerLost => {
                    executed(request).await?;
                    Err(TransportError::Lost("scripted".into()))
                }
                Fate::Hang => self.stand_still().await,
                Fate::AnswerHangs => {
                    executed(request).await?;
                    self.stand_still().await
                }
                Fate::Answer(answer) => Ok(answer),
                Fate::AnswerWith(answer) => {
                    executed(request).await?;
                    Ok(answer)
                }
                Fate::Rewrite(change) => {
                    let (parts, body) = executed(request).await?.into_parts();
                    let body = match serde_json::from_slice(&body) {
                        Ok(mut object) => {
                            change(&mut object);
                            object.to_string().into()
                        }
                        Err(_) => body,
                    };
                    Ok(Response::from_parts(parts, body))
                }
            }
        })
    }
}

impl fmt::Debug for ScriptedTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedTransport").finish_non_exhaustive()
    }
}

/// A problem document (RFC 9457) as a CA sends it; `kind` without its prefix.
pub fn problem(status: StatusCode, kind: &str, detail: &str) -> Response<Bytes> {
    let document = serde_json::json!({
        "type": format!("urn:ietf:params:acme:error:{kind}"),
        "detail": detail,
        "status": status.as_u16(),
    });
    let mut response = Response::new(Bytes::from(document.to_string()));
    *response.status_mut() = status;
    let content_type = http::HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
    response
}
