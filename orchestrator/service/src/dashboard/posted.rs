//! Forms: their fields, once the session's token was in them.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;

use super::Dashboard;
use super::guard::Visitor;

/// The hidden field with the session's token.
pub(super) const TOKEN: &str = "csrf";

/// The fields of a form, or of a query, in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// `application/x-www-form-urlencoded`.
    pub(super) fn parse(text: &str) -> Self {
        let decoded =
            |part: &str| percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(k, v)| (decoded(k), decoded(v)))
                .collect(),
        )
    }

    /// The first one of the name that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// A form that one of our pages has sent, and by whom.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) visitor: Visitor,
    pub(super) fields: Fields,
}

impl FromRequest<Dashboard> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, dashboard: &Dashboard) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, dashboard).await?;
        let request = Request::from_parts(parts, body);
        let body = Bytes::from_request(request, dashboard).await.map_err(IntoResponse::into_response)?;
        let fields = Fields::parse(&String::from_utf8_lossy(&body));
        require_token(&visitor, fields.get(TOKEN))?;
        Ok(Self { visitor, fields })
    }
}

/// # Errors
/// Another site's form, or a page of an earlier session.
#[expect(clippy::result_large_err, reason = "it is the answer, as of every extractor")]
pub(super) fn require_token(visitor: &Visitor, given: Option<&str>) -> Result<(), Response> {
    // Each of them is 256 random bits: comparing tells nobody enough to guess one.
    if given == Some(visitor.session.csrf.as_str()) {
        Ok(())
    } else {
        let detail = "This form belongs to another session, and nothing was done. Load the page again.\n";
        Err((StatusCode::FORBIDDEN, detail).into_response())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_and_empty_ones_are_none() {
        let fields = Fields::parse("a=1+%2B+2&b=&a=3&=x&c");
        assert_eq!(fields.get("a"), Some("1 + 2"));
        assert_eq!(fields.get("b"), None);
        assert_eq!(fields.get("c"), None);
        assert_eq!(fields.iter().filter(|(name, _)| *name == "a").count(), 2);
    }
}
