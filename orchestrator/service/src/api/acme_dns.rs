//! `POST /acme-dns/register`, `POST /acme-dns/update`: the protocol of acme-dns, for clients that prove names themselves.
//!
//! Its answers are those that acme-dns gives, since clients compare them: `{"error": "…"}`, no problem documents.

use std::net::{IpAddr, SocketAddr};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::error;
use uuid::Uuid;

use super::ApiState;
use super::auth::Operator;
use crate::config::{Cidr, Registration};
use crate::store::StoreError;
use crate::store::dns_delegations::{self, Credentials};

const BODY_BYTES_MAX: usize = 16 * 1024;
/// Blocks of one label.
const BLOCKS_MAX: usize = 64;
/// RFC 8555 §8.4: an unpadded SHA-256 in base64url.
const TEXT_CHARACTERS: usize = 43;

/// Why not, in acme-dns' words.
#[derive(Debug)]
pub(super) enum Refusal {
    NotServed,
    Forbidden,
    MalformedJson,
    BadCidr,
    BadSubdomain,
    BadText,
    Store(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, word) = match self {
            Self::NotServed => (StatusCode::NOT_FOUND, "not_served"),
            Self::Forbidden => (StatusCode::UNAUTHORIZED, "forbidden"),
            Self::MalformedJson => (StatusCode::BAD_REQUEST, "malformed_json_payload"),
            Self::BadCidr => (StatusCode::BAD_REQUEST, "invalid_allowfrom_cidr"),
            Self::BadSubdomain => (StatusCode::BAD_REQUEST, "bad_subdomain"),
            Self::BadText => (StatusCode::BAD_REQUEST, "bad_txt"),
            Self::Store(error) => {
                error!(
                    error = &error as &dyn std::error::Error,
                    "A label of our own zone could not be read or written"
                );
                let status = if error.is_unavailable() {
                    StatusCode::SERVICE_UNAVAILABLE
                } else {
                    StatusCode::INTERNAL_SERVER_ERROR
                };
                (status, "db_error")
            }
        };
        (status, Json(json!({ "error": word }))).into_response()
    }
}

#[derive(Debug, Default, Deserialize)]
struct Wish {
    #[serde(default)]
    allowfrom: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Registered {
    username: Uuid,
    password: String,
    fulldomain: String,
    subdomain: String,
    allowfrom: Vec<String>,
}

/// Makes a label. Clients send nothing, an empty object, or blocks of addresses.
pub(super) async fn register(
    State(api): State<ApiState>,
    request: Request,
) -> Result<(StatusCode, Json<Registered>), Refusal> {
    let zone = api.own_zone.clone().ok_or(Refusal::NotServed)?;
    let (mut parts, body) = request.into_parts();
    match api.registration {
        Registration::Open => {}
        Registration::Token => {
            Operator::from_request_parts(&mut parts, &api).await.map_err(|_| Refusal::Forbidden)?;
        }
        Registration::Closed => return Err(Refusal::Forbidden),
    }
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| Refusal::MalformedJson)?;
    let wish = if body.iter().all(u8::is_ascii_whitespace) {
        Wish::default()
    } else {
        serde_json::from_slice(&body).map_err(|_| Refusal::MalformedJson)?
    };
    let blocks: Result<Vec<Cidr>, _> = wish.allowfrom.iter().map(|block| block.parse()).collect();
    let blocks = blocks.ok().filter(|blocks| blocks.len() <= BLOCKS_MAX).ok_or(Refusal::BadCidr)?;
    let allowfrom: Vec<String> = blocks.iter().map(ToString::to_string).collect();
    let made = dns_delegations::register(&api.store, &allowfrom, api.clock.now()).await?;
    let registered = Registered {
        username: made.username,
        password: made.password.expose_secret().to_owned(),
        fulldomain: format!("{}.{zone}", made.subdomain),
        subdomain: made.subdomain,
        allowfrom,
    };
    Ok((StatusCode::CREATED, Json(registered)))
}

#[derive(Debug, Deserialize)]
struct Update {
    subdomain: String,
    txt: String,
}

/// Writes a value below a label: of the two that stand there, the older goes.
pub(super) async fn update(
    State(api): State<ApiState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<serde_json::Value>, Refusal> {
    if api.own_zone.is_none() {
        return Err(Refusal::NotServed);
    }
    let credentials = credentials(&headers).ok_or(Refusal::Forbidden)?;
    let delegation = dns_delegations::find(&api.store, &credentials).await?.ok_or(Refusal::Forbidden)?;
    if !may_write(&delegation.allow_from, peer.ip()) {
        return Err(Refusal::Forbidden);
    }
    let update: Update = serde_json::from_slice(&body).map_err(|_| Refusal::MalformedJson)?;
    if Uuid::parse_str(&update.subdomain).is_err() {
        return Err(Refusal::BadSubdomain);
    }
    if update.subdomain != delegation.subdomain {
        return Err(Refusal::Forbidden);
    }
    if !is_text(&update.txt) {
        return Err(Refusal::BadText);
    }
    dns_delegations::write(&api.store, &delegation.subdomain, &update.txt, api.clock.now()).await?;
    Ok(Json(json!({ "txt": update.txt })))
}

fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let username = Uuid::parse_str(text("X-Api-User")?).ok()?;
    let password = SecretString::from(text("X-Api-Key")?);
    Some(Credentials { username, password })
}

/// A block that cannot be read lets nobody in.
fn may_write(blocks: &[String], peer: IpAddr) -> bool {
    blocks.is_empty()
        || blocks
            .iter()
            .any(|block| block.parse::<Cidr>().is_ok_and(|block| block.contains(peer.to_canonical())))
}

fn is_text(text: &str) -> bool {
    text.len() == TEXT_CHARACTERS
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_digest_is_written_and_only_from_where_it_may_be() {
        assert!(is_text(&"a".repeat(43)) && !is_text(&"a".repeat(42)) && !is_text(&"=".repeat(43)));
        let address = |text: &str| text.parse::<IpAddr>().expect(text);
        let blocks = ["192.0.2.0/24".to_owned(), "2001:db8::/32".to_owned()];
        assert!(may_write(&[], address("198.51.100.1")));
        assert!(may_write(&blocks, address("192.0.2.9")) && may_write(&blocks, address("::ffff:192.0.2.9")));
        assert!(
            !may_write(&blocks, address("198.51.100.1"))
                && !may_write(&["rubbish".to_owned()], address("::1"))
        );
    }
}
