//! Answers that are no problems, in Boulder's dress: indented JSON, instants in whole seconds.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use issuance::time::Timestamp;
use serde::Serialize;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// RFC 9110 §5.6.7.
const HTTP_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let body = serde_json::to_vec_pretty(value).unwrap_or_default();
    with_body(status, "application/json", body)
}

pub(crate) fn with_body(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

pub(crate) fn set_location(response: &mut Response, url: &str) {
    if let Ok(value) = HeaderValue::from_str(url) {
        response.headers_mut().insert(header::LOCATION, value);
    }
}

/// RFC 8288, as RFC 8555 §7.1 uses it: `index`, `up`, `alternate`, `next`, `terms-of-service`.
pub(crate) fn add_link(response: &mut Response, url: &str, relation: &str) {
    if let Ok(value) = HeaderValue::from_str(&format!("<{url}>;rel=\"{relation}\"")) {
        response.headers_mut().append(header::LINK, value);
    }
}

/// Before those that are there.
pub(crate) fn add_first_link(response: &mut Response, url: &str, relation: &str) {
    let others: Vec<HeaderValue> = response.headers().get_all(header::LINK).iter().cloned().collect();
    response.headers_mut().remove(header::LINK);
    add_link(response, url, relation);
    for other in others {
        response.headers_mut().append(header::LINK, other);
    }
}

pub(crate) fn set_retry_after(response: &mut Response, seconds: u64) {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
}

/// Where it is not the server's own, which is the machine's.
pub(crate) fn set_date(response: &mut Response, now: Timestamp) {
    let text = now.to_datetime().and_then(|at| at.format(HTTP_DATE).ok());
    if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().insert(header::DATE, value);
    }
}

/// RFC 3339 without a fraction.
pub(crate) fn instant(at: Timestamp) -> String {
    Timestamp::from_unix_seconds(at.unix_seconds()).to_string()
}
