//! One id for each request, in the answer and in the log; and the place where problems get their text.

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument, info_span};
use uuid::Uuid;

use super::problem::Problem;
use super::throttle::Told;

const HEADER: &str = "x-request-id";

/// The id of a request, for whoever writes it down.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) String);

/// Gives the request a fresh id. One that the client sends is not taken over: it would let two requests
/// share a name in the log.
pub(super) async fn attach(mut request: Request, next: Next) -> Response {
    let id = format!("req_{}", Uuid::new_v4().simple());
    let span =
        info_span!("api.request", request.id = %id, method = %request.method(), path = request.uri().path());
    let told = Told::default();
    request.extensions_mut().insert(RequestId(id.clone()));
    request.extensions_mut().insert(told.clone());
    let mut response = next.run(request).instrument(span).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        problem.render(&id, &mut response);
    }
    told.tell(response.headers_mut());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}
