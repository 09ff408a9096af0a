//! instant-acme on top of our own HTTP client: its requests are smoothed, timed out and measured as ours
//! are, its directory and nonces come from what is known, and its errors keep what it would drop.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::RETRY_AFTER;
use ::http::{HeaderValue, Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Collected, Full};
use instant_acme::{AccountBuilder, BodyWrapper, BytesResponse, Error};
use issuance::problem::{Problem, ProblemKind};

use super::authority::Authority;
use super::endpoint::Endpoint;
use super::error::{AcmeError, Cause};
use super::http::{Failed, Sending};

const REPLAY_NONCE: &str = "Replay-Nonce";
/// The wait to assume where a CA names none (RFC 9773 §4.3.3); instant-acme insists on one.
const RENEWAL_INFO_WAIT_DEFAULT: Duration = Duration::from_hours(6);

/// An instant-acme account builder that speaks through `authority`.
pub(super) fn builder(authority: &Arc<Authority>) -> AccountBuilder {
    instant_acme::Account::builder_with_http(Box::new(Bridge(Arc::clone(authority))))
}

struct Bridge(Arc<Authority>);

type Answering = Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>>;

impl instant_acme::HttpClient for Bridge {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Answering {
        let authority = Arc::clone(&self.0);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let url = parts.uri.to_string();
            // The body is in memory and its error type has no values.
            let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
            answer(&authority, &url, body)
                .await
                .map(BytesResponse::from)
                .map_err(|error| Error::Other(Box::new(error)))
        })
    }
}

async fn answer(authority: &Authority, url: &str, body: Bytes) -> Result<Response<Full<Bytes>>, AcmeError> {
    let directory = authority.directory();
    if url == authority.directory_url() {
        return Ok(Response::new(Full::new(directory.raw.clone())));
    }
    if url == &*directory.new_nonce {
        // instant-acme asks for a nonce exactly when it is about to post.
        let nonce = authority.http().nonce(Endpoint::NewNonce, &directory.new_nonce).await?;
        let mut response = Response::new(Full::default());
        put(&mut response, REPLAY_NONCE, nonce.as_str());
        return Ok(response);
    }
    let endpoint = if url == &*directory.new_account {
        Endpoint::NewAccount
    } else if directory.revoke_cert.as_deref() == Some(url) {
        Endpoint::RevokeCert
    } else {
        Endpoint::RenewalInfo
    };
    let sending = if body.is_empty() { Sending::Get } else { Sending::Post(body) };
    match authority.http().send(endpoint, url, sending).await {
        Ok(answer) => {
            let wait = answer
                .retry_after
                .or((endpoint == Endpoint::RenewalInfo).then_some(RENEWAL_INFO_WAIT_DEFAULT));
            let mut response = Response::new(Full::new(answer.body));
            *response.status_mut() = answer.status;
            *response.headers_mut() = answer.headers;
            if let Some(wait) = wait {
                // As seconds: a date would be held against the machine's clock.
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
            }
            Ok(response)
        }
        // The one refusal instant-acme deals with by itself.
        Err(Failed::BadNonce { fresh: Some(nonce), .. }) => {
            authority.http().instruments().bad_nonce();
            let mut response = Response::new(Full::from(BAD_NONCE));
            *response.status_mut() = StatusCode::BAD_REQUEST;
            put(&mut response, REPLAY_NONCE, nonce.as_str());
            Ok(response)
        }
        Err(failed) => Err(failed.into()),
    }
}

const BAD_NONCE: &str =
    r#"{"type":"urn:ietf:params:acme:error:badNonce","detail":"the nonce is not known","status":400}"#;

fn put<B>(response: &mut Response<B>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Our error out of instant-acme's, which carries it where the request was the trouble.
pub(super) fn error_of(endpoint: Endpoint, error: Error) -> AcmeError {
    match error {
        Error::Other(cause) => match cause.downcast::<AcmeError>() {
            Ok(ours) => *ours,
            Err(other) => AcmeError::lost(endpoint, other),
        },
        Error::Api(problem) => {
            let kind = problem.r#type.as_deref().map_or(ProblemKind::Malformed, ProblemKind::parse);
            let detail = problem.detail.unwrap_or_default();
            let status = problem.status.unwrap_or(StatusCode::BAD_REQUEST.as_u16());
            AcmeError::Refused { endpoint, problem: Problem::new(kind, status, detail) }
        }
        Error::Unsupported(what) => AcmeError::Unsupported { what },
        Error::Crypto | Error::KeyRejected => AcmeError::BadKey(super::jws::KeyError::Signing),
        other => AcmeError::lost(endpoint, Cause::from(other)),
    }
}
