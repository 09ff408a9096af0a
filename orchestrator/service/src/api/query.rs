//! What stands in the address of a request: ids in the path, parameters in the query.

use std::str::FromStr;

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use issuance::check::Check;
use issuance::identifier::Hostname;
use serde::de::DeserializeOwned;

use super::checks::check_of;
use super::problem::Problem;
use crate::store::page::Page;

/// The query's parameters; an unknown one is refused, so that a misspelt filter never shows everything.
#[derive(Debug)]
pub(super) struct Parameters<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // No text of ours has one, and the database takes none.
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            return Err(Problem::bad_parameter(None, "a parameter has no null characters"));
        }
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(QueryRejection::FailedToDeserializeQueryString(error)) => {
                Err(Problem::bad_parameter(None, error.body_text()))
            }
            Err(_) => Err(Problem::bad_parameter(None, "the query cannot be read")),
        }
    }
}

/// The hostname in the path, in whatever spelling. A text that is none names nothing that exists.
#[derive(Debug)]
pub(super) struct PathHostname(pub(super) Hostname);

impl<S: Send + Sync> FromRequestParts<S> for PathHostname {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(Path(text)) = Path::<String>::from_request_parts(parts, state).await else {
            return Err(Problem::no_route());
        };
        Hostname::parse(&text).map(Self).map_err(|_| Problem::not_found("hostname"))
    }
}

/// A word in the path. One with control characters names nothing that exists.
#[derive(Debug)]
pub(super) struct PathText(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for PathText {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(text)) if !text.chars().any(char::is_control) => Ok(Self(text)),
            _ => Err(Problem::no_route()),
        }
    }
}

/// A hostname and one of its checks in the path.
#[derive(Debug)]
pub(super) struct PathCheck(pub(super) Hostname, pub(super) Check);

impl<S: Send + Sync> FromRequestParts<S> for PathCheck {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(Path((hostname, check))) = Path::<(String, String)>::from_request_parts(parts, state).await
        else {
            return Err(Problem::no_route());
        };
        let hostname = Hostname::parse(&hostname).map_err(|_| Problem::not_found("hostname"))?;
        Ok(Self(hostname, check_of(&check)?))
    }
}

/// The id in the path. A text that is no id names nothing that exists.
#[derive(Debug)]
pub(super) struct PathId<T>(pub(super) T);

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for PathId<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(Path(text)) = Path::<String>::from_request_parts(parts, state).await else {
            return Err(Problem::no_route());
        };
        text.parse().map(Self).map_err(|_| Problem::not_found("object: the id is malformed"))
    }
}

/// The page that `limit` and `cursor` ask for, of the list that `filters` describe.
pub(super) fn page(
    limit: Option<u32>,
    cursor: Option<&str>,
    filters: &impl std::fmt::Debug,
) -> Result<Page, Problem> {
    Ok(Page::new(limit, cursor, &format!("{filters:?}"))?)
}

/// The one of `known` that `text` names.
pub(super) fn one_of(
    parameter: &str,
    text: Option<&str>,
    known: &[&'static str],
) -> Result<Option<&'static str>, Problem> {
    let Some(text) = text else { return Ok(None) };
    match known.iter().find(|word| **word == text) {
        Some(word) => Ok(Some(word)),
        None => Err(Problem::bad_parameter(
            Some(parameter),
            format!("{parameter} is one of {}", known.join(", ")),
        )),
    }
}
