//! Who is asking, from where, and what that opens.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use issuance::ids::{ApiKeyId, UserId};

use super::ApiState;
use super::problem::Problem;
use super::request_id::RequestId;
use super::throttle::Told;
use crate::config::trusted_proxies::origin;
use crate::store::api_keys::{self, ApiKey, Token};
use crate::store::events::{Actor, Who};
use crate::store::scope::{Scope, Scopes};
use crate::store::users::Role;
use crate::store::viewer::Viewer;

/// Somebody who is signed in, put beside a request by the dashboard. Nothing that comes over the network can bring one.
#[derive(Debug, Clone)]
pub struct SignedIn {
    pub viewer: Viewer,
    pub user: UserId,
    pub name: String,
    pub role: Role,
    pub scopes: Scopes,
    /// From where.
    pub address: Option<IpAddr>,
}

/// The bearer of a key, or somebody who is signed in. What it opens a handler asks for first of all: [`Caller::require`].
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// Whose rows it may see.
    pub(super) viewer: Viewer,
    /// Of somebody signed in, the user's id in its place: it counts what one caller has, and names no key.
    pub(super) key: ApiKeyId,
    /// For the audit.
    pub(super) actor: Actor,
    scopes: Scopes,
    /// Of somebody signed in.
    role: Option<Role>,
}

impl Caller {
    /// # Errors
    /// The key, or the role, does not open `scope`.
    pub(super) fn require(&self, scope: Scope) -> Result<(), Problem> {
        match self.role {
            _ if self.scopes.contains(scope) => Ok(()),
            Some(role) => Err(Problem::role_insufficient(role, self.viewer, scope)),
            None => Err(Problem::scope_missing(scope)),
        }
    }

    pub(super) fn scopes(&self) -> &Scopes {
        &self.scopes
    }
}

impl FromRequestParts<ApiState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.clone());
        if let Some(user) = parts.extensions.get::<SignedIn>() {
            let who = Who::User { id: user.user.0, name: user.name.clone() };
            return Ok(Self {
                viewer: user.viewer,
                key: ApiKeyId(user.user.0),
                actor: Actor { who, address: user.address, request_id },
                scopes: user.scopes.clone(),
                role: Some(user.role),
            });
        }
        let header = parts
            .headers
            .get(AUTHORIZATION)
            .ok_or_else(|| Problem::unauthenticated("send the header Authorization: Bearer and a token"))?;
        let text = header.to_str().ok().and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let text = text.ok_or_else(|| {
            Problem::unauthenticated("the Authorization header is not of the form Bearer TOKEN")
        })?;
        let address = address_of(parts, state);
        state.throttle.hear(address)?;
        let opened = opened_by(text, address, state).await;
        if matches!(&opened, Err(problem) if problem.is_unauthenticated()) {
            state.throttle.note_failure(address);
        }
        let key = opened?;
        let allowance = state.throttle.admit(key.id)?;
        if let (Some(allowance), Some(told)) = (allowance, parts.extensions.get::<Told>()) {
            told.put(allowance);
        }
        state.last_uses.note(&state.store, key.id, state.clock.now());
        Ok(Self {
            viewer: key.viewer,
            key: key.id,
            actor: Actor { who: Who::Key { id: key.id, name: key.name }, address, request_id },
            scopes: key.scopes,
            role: None,
        })
    }
}

/// Where the request comes from: the peer, or whom a proxy of ours speaks for.
pub(crate) fn address_of(parts: &Parts, state: &ApiState) -> Option<IpAddr> {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip();
    Some(origin(peer, &parts.headers, &state.trusted_proxies))
}

/// The key of that text, if it is good now and there.
async fn opened_by(text: &str, address: Option<IpAddr>, state: &ApiState) -> Result<ApiKey, Problem> {
    let token = Token::parse(text).map_err(|error| Problem::unauthenticated(error.to_string()))?;
    let key = api_keys::find(&state.store, &token)
        .await?
        .ok_or_else(|| Problem::unauthenticated("the token is unknown or has been revoked"))?;
    admitted(&key, address, state)?;
    Ok(key)
}

/// Whether the key may be used now and from there.
fn admitted(key: &ApiKey, address: Option<IpAddr>, state: &ApiState) -> Result<(), Problem> {
    if let Some(at) = key.expires_at.filter(|at| *at <= state.clock.now()) {
        return Err(Problem::unauthenticated(format!("the token has expired at {at}: make a new one")));
    }
    let from_there = key.cidrs.is_empty()
        || address.is_some_and(|address| key.cidrs.iter().any(|block| block.contains(address)));
    if from_there {
        Ok(())
    } else {
        Err(Problem::unauthenticated("the token may not be used from this address"))
    }
}

/// Like [`Caller`], for what concerns more than one tenant.
#[derive(Debug, Clone)]
pub(super) struct Operator(pub(super) Caller);

impl FromRequestParts<ApiState> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        match caller.viewer {
            Viewer::Operator => Ok(Self(caller)),
            Viewer::Tenant(_) => Err(Problem::operator_only(caller.role.is_some())),
        }
    }
}
