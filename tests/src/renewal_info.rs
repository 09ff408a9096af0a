//! A way to the CA on which renewal information is what a test wants it to be.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderValue, Request, Response, StatusCode};
use issuance::time::Timestamp;
use lockkeeper::acme::transport::{Exchange, HyperTransport};
use lockkeeper::acme::{AcmeError, Endpoint, Transport};
use serde_json::{Value, json};

/// What the CA says about renewals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// What it says by itself.
    Truth,
    /// The directory has no such resource.
    Nothing,
    /// 500, whoever asks.
    Failure,
    Window {
        start: Timestamp,
        end: Timestamp,
        explanation_url: Option<&'static str>,
        retry_after_seconds: u64,
    },
}

#[derive(Debug)]
pub struct RenewalInfoTransport {
    inner: HyperTransport,
    told: Mutex<Told>,
}

impl RenewalInfoTransport {
    pub fn new(told: Told) -> Result<Arc<Self>, AcmeError> {
        let inner = HyperTransport::new(None, Duration::from_secs(5))?;
        Ok(Arc::new(Self { inner, told: Mutex::new(told) }))
    }

    pub fn tell(&self, told: Told) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = told;
    }

    fn told(&self) -> Told {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The directory without the resource.
fn without_renewal_info(body: &[u8]) -> Bytes {
    let Ok(Value::Object(mut directory)) = serde_json::from_slice(body) else { return Bytes::new() };
    directory.remove("renewalInfo");
    Bytes::from(Value::Object(directory).to_string())
}

impl Transport for RenewalInfoTransport {
    fn exchange(&self, endpoint: Endpoint, request: Request<Bytes>) -> Exchange<'_> {
        Box::pin(async move {
            match (endpoint, self.told()) {
                (Endpoint::Directory, Told::Nothing) => {
                    let mut response = self.inner.exchange(endpoint, request).await?;
                    *response.body_mut() = without_renewal_info(response.body());
                    Ok(response)
                }
                (Endpoint::RenewalInfo, Told::Failure) => {
                    let mut response = Response::new(Bytes::from_static(b"{}"));
                    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                    Ok(response)
                }
                (
                    Endpoint::RenewalInfo,
                    Told::Window { start, end, explanation_url, retry_after_seconds },
                ) => {
                    let mut body = json!({ "suggestedWindow": { "start": start, "end": end } });
                    if let Some(url) = explanation_url {
                        body["explanationURL"] = Value::from(url);
                    }
                    let mut response = Response::new(Bytes::from(body.to_string()));
                    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after_seconds));
                    Ok(response)
                }
                _ => self.inner.exchange(endpoint, request).await,
            }
        })
    }
}
