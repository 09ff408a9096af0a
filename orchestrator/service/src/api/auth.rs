//! Who is asking.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::ApiState;
use super::problem::Problem;
use crate::store::tokens::{self, Token};
use crate::store::viewer::Viewer;

/// The bearer of a token that opens something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller(pub(super) Viewer);

impl FromRequestParts<ApiState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
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
        let token = Token::parse(text).map_err(|error| Problem::unauthenticated(error.to_string()))?;
        let viewer = tokens::find(&state.store, &token).await?;
        viewer.map(Self).ok_or_else(|| Problem::unauthenticated("the token is unknown or has been revoked"))
    }
}

/// Like [`Caller`], for what shows more than one tenant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operator;

impl FromRequestParts<ApiState> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        match Caller::from_request_parts(parts, state).await? {
            Caller(Viewer::Operator) => Ok(Self),
            Caller(Viewer::Tenant(_)) => Err(Problem::operator_only()),
        }
    }
}
