//! The way to the provider: few requests, each bounded in time and size, and none that goes where another answer points.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use openidconnect::AsyncHttpClient;

use super::OidcSetUpError;
use crate::config::ProviderUrl;
use crate::https::{self, HttpsClient};

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("lockkeeper/", env!("CARGO_PKG_VERSION"), " (oidc)"));
/// What is read of an answer.
const BODY_BYTES_MAX: usize = 1024 * 1024;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A request without an answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("no answer from it")]
    Unanswered(#[source] Cause),
    #[error("no answer from it in time")]
    Timeout,
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("it names an address that is not https")]
    Insecure,
}

pub(super) struct ProviderHttp {
    client: HttpsClient,
    timeout: Duration,
    /// Whatever the provider says of itself: secrets and codes travel over TLS. Not where it is on this machine itself.
    https_only: bool,
}

impl fmt::Debug for ProviderHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderHttp").field("https_only", &self.https_only).finish_non_exhaustive()
    }
}

impl ProviderHttp {
    pub(super) fn new(
        issuer: &ProviderUrl,
        extra_root_pem: Option<&str>,
        timeout: Duration,
    ) -> Result<Self, OidcSetUpError> {
        let client = https::client(extra_root_pem)?;
        Ok(Self { client, timeout, https_only: issuer.is_https() })
    }

    async fn exchange(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, HttpError> {
        if self.https_only && request.uri().scheme_str() != Some("https") {
            return Err(HttpError::Insecure);
        }
        let mut request = request.map(|body| Full::new(Bytes::from(body)));
        request.headers_mut().insert(USER_AGENT, AGENT);
        let exchange = async {
            let response =
                self.client.request(request).await.map_err(|error| HttpError::Unanswered(error.into()))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(HttpError::Unanswered)?;
            Ok(Response::from_parts(parts, body.to_bytes().into()))
        };
        let response =
            tokio::time::timeout(self.timeout, exchange).await.map_err(|_| HttpError::Timeout)??;
        // One that is being started anew, or that is busy: not what the document or the token is.
        if response.status().is_server_error() || response.status() == StatusCode::TOO_MANY_REQUESTS {
            return Err(HttpError::Status(response.status()));
        }
        Ok(response)
    }
}

impl<'c> AsyncHttpClient<'c> for ProviderHttp {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Vec<u8>>, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: Request<Vec<u8>>) -> Self::Future {
        Box::pin(self.exchange(request))
    }
}
