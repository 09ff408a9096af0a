//! `POST /acme-dns/register`, `POST /acme-dns/update`: the protocol of acme-dns, for clients that prove names themselves.
//!
//! Its answers are those that acme-dns gives, since clients compare them: `{"error": "…"}`, no problem documents.

use std::net::IpAddr;

use axum::Json;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::error;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::ApiState;
use super::auth::{Operator, address_of};
use super::request_id::RequestId;
use crate::config::{Cidr, Registration};
use crate::store::StoreError;
use crate::store::dns_delegations::{self, Credentials};
use crate::store::events::{Actor, Event, Who};
use crate::store::scope::Scope;
use crate::store::viewer::Viewer;
use crate::store::work::Work;

/// Who registers where everybody may.
const ANYBODY: &str = "acme-dns registration";
const BODY_BYTES_MAX: usize = 16 * 1024;
/// Blocks of one label.
const BLOCKS_MAX: usize = 64;
/// RFC 8555 §8.4: an unpadded SHA-256 in base64url.
const TEXT_CHARACTERS: usize = 43;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(register)).routes(routes!(update))
}

/// Why not, in acme-dns' words.
#[derive(Debug, Serialize, ToSchema)]
struct RefusalDocument {
    error: String,
}

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
                    event = "api.own_zone_failed",
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

/// What a label is asked for with. Fields of other clients are passed over, as acme-dns does.
#[derive(Debug, Default, Deserialize, ToSchema)]
struct Wish {
    #[serde(default)]
    allowfrom: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Registered {
    username: Uuid,
    password: String,
    fulldomain: String,
    subdomain: String,
    allowfrom: Vec<String>,
}

/// Makes a label.
///
/// Clients send nothing, an empty object, or blocks of addresses. The configuration says whether that takes the
/// operator's key.
#[utoipa::path(
    post,
    path = "/acme-dns/register",
    tag = "acme-dns",
    request_body(content = Option<Wish>, content_type = "application/json"),
    security((), ("bearer" = [])),
    responses(
        (status = 201, description = "The label, and what it is written with", body = Registered),
        (status = "4XX", description = "Why not", body = RefusalDocument),
        (status = "5XX", description = "Why not", body = RefusalDocument),
    )
)]
pub(super) async fn register(
    State(api): State<ApiState>,
    request: Request,
) -> Result<(StatusCode, Json<Registered>), Refusal> {
    let zone = api.own_zone.clone().ok_or(Refusal::NotServed)?;
    let (mut parts, body) = request.into_parts();
    let actor = match api.registration {
        Registration::Open => actor(Who::Service(ANYBODY), &parts, &api),
        Registration::Token => {
            let operator = Operator::from_request_parts(&mut parts, &api).await;
            let Operator(caller) = operator.map_err(|_| Refusal::Forbidden)?;
            caller.require(Scope::DnsManage).map_err(|_| Refusal::Forbidden)?;
            caller.actor
        }
        Registration::Closed => return Err(Refusal::Forbidden),
    };
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| Refusal::MalformedJson)?;
    let wish = if body.iter().all(u8::is_ascii_whitespace) {
        Wish::default()
    } else {
        serde_json::from_slice(&body).map_err(|_| Refusal::MalformedJson)?
    };
    let blocks: Result<Vec<Cidr>, _> = wish.allowfrom.iter().map(|block| block.parse()).collect();
    let blocks = blocks.ok().filter(|blocks| blocks.len() <= BLOCKS_MAX).ok_or(Refusal::BadCidr)?;
    let allowfrom: Vec<String> = blocks.iter().map(ToString::to_string).collect();
    let mut work = Work::begin(&api.store, Viewer::Operator, actor, api.clock.now()).await?;
    let made = dns_delegations::register(&mut work, &allowfrom).await?;
    let after = json!({ "username": made.username, "allowfrom": allowfrom });
    work.tell(told("dns_label.registered", &made.subdomain, json!({ "before": null, "after": after })))
        .await?;
    work.commit().await?;
    let registered = Registered {
        username: made.username,
        password: made.password.expose_secret().to_owned(),
        fulldomain: format!("{}.{zone}", made.subdomain),
        subdomain: made.subdomain,
        allowfrom,
    };
    Ok((StatusCode::CREATED, Json(registered)))
}

/// A value for a label.
#[derive(Debug, Deserialize, ToSchema)]
struct Update {
    #[schema(format = "uuid")]
    subdomain: String,
    #[schema(pattern = "^[A-Za-z0-9_-]{43}$")]
    txt: String,
}

/// Writes a value below a label: of the two that stand there, the older goes.
#[utoipa::path(
    post,
    path = "/acme-dns/update",
    tag = "acme-dns",
    params(
        ("X-Api-User" = Uuid, Header, description = "The label's username"),
        ("X-Api-Key" = String, Header, description = "The label's password"),
    ),
    request_body = Update,
    security(()),
    responses(
        (status = 200, description = "The value, as it stands now", body = serde_json::Value),
        (status = "4XX", description = "Why not", body = RefusalDocument),
        (status = "5XX", description = "Why not", body = RefusalDocument),
    )
)]
pub(super) async fn update(
    State(api): State<ApiState>,
    request: Request,
) -> Result<Json<serde_json::Value>, Refusal> {
    let (parts, body) = request.into_parts();
    if api.own_zone.is_none() {
        return Err(Refusal::NotServed);
    }
    let credentials = credentials(&parts.headers).ok_or(Refusal::Forbidden)?;
    let delegation = dns_delegations::find(&api.store, &credentials).await?.ok_or(Refusal::Forbidden)?;
    let actor =
        actor(Who::User { id: credentials.username, name: delegation.subdomain.clone() }, &parts, &api);
    if !may_write(&delegation.allow_from, actor.address) {
        return Err(Refusal::Forbidden);
    }
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| Refusal::MalformedJson)?;
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
    let mut work = Work::begin(&api.store, Viewer::Operator, actor, api.clock.now()).await?;
    let before = dns_delegations::values(&mut work, &delegation.subdomain).await?;
    dns_delegations::write(&mut work, &delegation.subdomain, &update.txt).await?;
    let after = dns_delegations::values(&mut work, &delegation.subdomain).await?;
    let data = json!({ "before": { "txt": before }, "after": { "txt": after } });
    work.tell(told("dns_label.updated", &delegation.subdomain, data)).await?;
    work.commit().await?;
    Ok(Json(json!({ "txt": update.txt })))
}

/// Who writes, as far as the protocol tells.
fn actor(who: Who, parts: &Parts, api: &ApiState) -> Actor {
    let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.clone());
    Actor { who, address: address_of(parts, api), request_id }
}

fn told(kind: &'static str, label: &str, data: serde_json::Value) -> Event {
    Event { kind, tenant: None, certificate: None, subject: label.to_owned(), data }
}

fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let username = Uuid::parse_str(text("X-Api-User")?).ok()?;
    let password = SecretString::from(text("X-Api-Key")?);
    Some(Credentials { username, password })
}

/// A block that cannot be read lets nobody in.
fn may_write(blocks: &[String], peer: Option<IpAddr>) -> bool {
    let holds = |block: &String| {
        peer.is_some_and(|peer| block.parse::<Cidr>().is_ok_and(|block| block.contains(peer)))
    };
    blocks.is_empty() || blocks.iter().any(holds)
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
        let address = |text: &str| Some(text.parse::<IpAddr>().expect(text));
        let blocks = ["192.0.2.0/24".to_owned(), "2001:db8::/32".to_owned()];
        assert!(may_write(&[], address("198.51.100.1")));
        assert!(may_write(&blocks, address("192.0.2.9")) && may_write(&blocks, address("::ffff:192.0.2.9")));
        assert!(
            !may_write(&blocks, address("198.51.100.1"))
                && !may_write(&["rubbish".to_owned()], address("::1"))
        );
    }
}
