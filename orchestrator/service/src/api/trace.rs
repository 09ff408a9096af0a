//! Requests that change something, as spans: what they make links to them. Whoever sends `traceparent` (W3C Trace Context)
//! finds the span in his own trace.

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;

use super::request_id::RequestId;
use crate::telemetry::traces::{Tracer, Value};

const HEADER: &str = "traceparent";

pub(super) async fn follow(State(tracer): State<Tracer>, request: Request, next: Next) -> Response {
    let method = match *request.method() {
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => return next.run(request).await,
    };
    let mut headers = request.headers().get_all(HEADER).iter();
    // Two of them are none (§3.2).
    let caller = match (headers.next(), headers.next()) {
        (Some(header), None) => header.to_str().ok().and_then(|text| text.parse().ok()),
        _ => None,
    };
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let name = format!("{method} {route}");
    let told = |response: &Response| {
        let status = response.status();
        let attributes = vec![
            ("http.request.method", Value::from(method)),
            ("http.route", Value::from(route)),
            ("http.response.status_code", Value::from(status.as_u16())),
            ("lockkeeper.request", Value::from(id)),
        ];
        (attributes, status.is_server_error().then(|| status.as_str().to_owned()))
    };
    tracer.serve(caller, name, next.run(request), told).await
}
