//! Styles and scripts, compiled in. Their addresses hold a digest of all of them, so browsers keep them for ever.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! asset {
    ($name:literal, $kind:expr) => {
        ($name, $kind, include_bytes!(concat!("../../assets/dashboard/", $name)))
    };
}

const ASSETS: [(&str, &str, &[u8]); 6] = [
    asset!("app.css", CSS),
    asset!("app.js", JAVASCRIPT),
    asset!("htmx.min.js", JAVASCRIPT),
    asset!("theme.js", JAVASCRIPT),
    asset!("uplot.min.css", CSS),
    asset!("uplot.min.js", JAVASCRIPT),
];

static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for (_, _, content) in ASSETS {
        digest.update(content);
    }
    digest.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
});

/// Where `file` is served.
pub(super) fn address(file: &str) -> String {
    format!("/admin/assets/{}/{file}", *VERSION)
}

pub(super) async fn serve(Path((version, file)): Path<(String, String)>) -> Response {
    let found = ASSETS.into_iter().find(|(name, _, _)| *name == file);
    match found.filter(|_| version == *VERSION) {
        Some((_, kind, content)) => {
            let headers = [
                (CONTENT_TYPE, kind),
                (CACHE_CONTROL, "public, max-age=31536000, immutable"),
                (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (headers, content).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What others wrote is what the list beside it says.
    #[test]
    fn the_list_tells_what_each_file_is() {
        let list = include_str!("../../assets/dashboard/README.md");
        for (name, _, content) in ASSETS {
            let line = list.lines().find(|line| line.contains(&format!("`{name}`")));
            let line = line.unwrap_or_else(|| panic!("{name} is not in the list"));
            let digest: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(line.contains("our own") || line.contains(&digest), "{name}: {digest}");
        }
    }
}
