//! A route that takes no parameters is asked without any: a misspelt filter must not show everything.

use std::collections::HashSet;
use std::sync::LazyLock;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::document;
use super::problem::Problem;

/// Path and method of what takes none. Routes that take some refuse the others themselves.
static TAKE_NONE: LazyLock<HashSet<(String, String)>> = LazyLock::new(|| {
    let operations = document::operations(document::document());
    let bare = operations.filter(|operation| !operation.takes_query());
    bare.map(|operation| (operation.path.to_owned(), operation.method.to_uppercase())).collect()
});

pub(super) async fn refuse_unknown(request: Request, next: Next) -> Response {
    let asked = request.uri().query().is_some_and(|query| !query.is_empty());
    let path = request.extensions().get::<MatchedPath>().filter(|_| asked);
    if let Some(path) = path {
        let method = if request.method() == "HEAD" { "GET" } else { request.method().as_str() };
        if TAKE_NONE.contains(&(path.as_str().to_owned(), method.to_owned())) {
            return Problem::bad_parameter(None, "this address takes no parameters").into_response();
        }
    }
    next.run(request).await
}
