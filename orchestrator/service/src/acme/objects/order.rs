use issuance::identifier::Hostname;
use issuance::problem::Problem;
use issuance::time::Timestamp;
use serde::Deserialize;

use super::wire::{instant, problem, words};

words! {
    /// RFC 8555 §7.1.6.
    OrderStatus {
        Pending => "pending",
        Ready => "ready",
        Processing => "processing",
        Valid => "valid",
        Invalid => "invalid",
        /// No status of RFC 8555: Pebble up to 2.4 says it of an order whose authorization was deactivated, where
        /// others say `invalid`.
        Deactivated => "deactivated",
    }
}

/// An order at the CA (RFC 8555 §7.1.3).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OrderObject {
    pub status: OrderStatus,
    #[serde(default, deserialize_with = "instant")]
    pub expires: Option<Timestamp>,
    #[serde(default)]
    pub identifiers: Vec<Identifier>,
    /// In no particular order: not matched to `identifiers` by position.
    pub authorizations: Vec<Box<str>>,
    pub finalize: Box<str>,
    #[serde(default)]
    pub certificate: Option<Box<str>>,
    #[serde(default)]
    pub profile: Option<Box<str>>,
    /// The certificate this order replaces (RFC 9773 §5).
    #[serde(default)]
    pub replaces: Option<Box<str>>,
    /// Boulder fills it for failed finalizations only.
    #[serde(default, deserialize_with = "problem")]
    pub error: Option<Problem>,
}

impl OrderObject {
    /// Every address in it.
    pub(crate) fn urls(&self) -> impl Iterator<Item = &str> {
        let fixed = std::iter::once(&self.finalize).chain(&self.certificate);
        self.authorizations.iter().chain(fixed).map(AsRef::as_ref)
    }
}

/// An identifier as the CA writes it; it need not be one we would have asked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Identifier {
    #[serde(rename = "type")]
    pub kind: Box<str>,
    pub value: Box<str>,
}

impl Identifier {
    /// `None` for an address, or a name that is none of ours.
    pub fn hostname(&self) -> Option<Hostname> {
        (&*self.kind == "dns").then(|| Hostname::parse(&self.value).ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_with_unknown_words_and_odd_dates_is_still_an_order() {
        let order: OrderObject = serde_json::from_str(
            r#"{"status":"dreaming","expires":"tomorrow","identifiers":[{"type":"ip","value":"192.0.2.1"},{"type":"dns","value":"a.com"}],
                "authorizations":["https://ca.test/z/1"],"finalize":"https://ca.test/f/1","star":"x",
                "error":{"type":"urn:ietf:params:acme:error:caa","detail":"no"}}"#,
        )
        .unwrap();
        assert_eq!(order.status, OrderStatus::Other("dreaming".into()));
        assert_eq!(order.expires, None);
        assert_eq!(order.identifiers[0].hostname(), None);
        assert_eq!(order.identifiers[1].hostname(), Hostname::parse("a.com").ok());
        assert_eq!(order.error.map(|error| (error.kind.to_string(), error.status)), Some(("caa".into(), 0)));
        let deactivated = r#"{"status":"deactivated","authorizations":[],"finalize":"https://ca.test/f/1"}"#;
        let order: OrderObject = serde_json::from_str(deactivated).unwrap();
        assert_eq!(order.status, OrderStatus::Deactivated);
    }
}
