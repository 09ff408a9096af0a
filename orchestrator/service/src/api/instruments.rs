//! What is counted of requests to the API: by route, never by what stands in a path.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use metrics::{SharedString, counter, describe_counter, describe_histogram, histogram};

const REQUESTS: &str = "lockkeeper_api_requests_total";
/// Has buckets of its own: see `telemetry::recorder`.
const SECONDS: &str = "lockkeeper_api_request_duration_seconds";

/// Of a path that no route has.
const UNMATCHED: &str = "unmatched";

pub(super) fn register() {
    describe_counter!(REQUESTS, "Requests to the API that were answered, by route, method and status.");
    describe_histogram!(SECONDS, "Seconds until the API began its answer, by route and method.");
}

/// Counts the request when it was answered. One that its client has given up before is not counted.
pub(super) async fn measure(request: Request, next: Next) -> Response {
    let route: SharedString = match request.extensions().get::<MatchedPath>() {
        Some(path) => path.as_str().to_owned().into(),
        None => UNMATCHED.into(),
    };
    let method = word(request.method());
    let started = Instant::now();
    let response = next.run(request).await;
    let code = response.status().as_str().to_owned();
    counter!(REQUESTS, "route" => route.clone(), "method" => method, "code" => code).increment(1);
    histogram!(SECONDS, "route" => route, "method" => method).record(started.elapsed().as_secs_f64());
    response
}

/// Clients may invent methods (RFC 9110 §9.1), and each would be a series.
fn word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
