//! What a CA offers and where (RFC 8555 §7.1.1).

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;

use super::error::AcmeError;
use super::origin::Origin;

/// A CA's directory. Everything but the three resources no order can do without is optional; unknown members are
/// ignored.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Directory {
    pub new_nonce: Box<str>,
    pub new_account: Box<str>,
    pub new_order: Box<str>,
    #[serde(default)]
    pub revoke_cert: Option<Box<str>>,
    #[serde(default)]
    pub key_change: Option<Box<str>>,
    /// RFC 9773 §4.1.
    #[serde(default)]
    pub renewal_info: Option<Box<str>>,
    #[serde(default)]
    pub meta: Meta,
    /// As received: what instant-acme is shown when it asks.
    #[serde(skip)]
    pub(crate) raw: Bytes,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    pub terms_of_service: Option<Box<str>>,
    /// The names by which this CA recognises itself in CAA records.
    pub caa_identities: Vec<Box<str>>,
    pub external_account_required: bool,
    /// Certificate profiles and what the CA says about each (draft-ietf-acme-profiles).
    pub profiles: BTreeMap<Box<str>, Box<str>>,
}

impl Directory {
    /// Refuses a directory that points away from its own origin.
    pub(crate) fn parse(raw: Bytes, origin: &Origin) -> Result<Self, AcmeError> {
        let mut directory: Self = serde_json::from_slice(&raw).map_err(|error| AcmeError::BadConfig {
            what: "what stands at the directory's address is no ACME directory".into(),
            source: Some(error.into()),
        })?;
        let needed = [&directory.new_nonce, &directory.new_account, &directory.new_order];
        let optional = [&directory.revoke_cert, &directory.key_change, &directory.renewal_info];
        for url in needed.into_iter().chain(optional.into_iter().flatten()) {
            origin.admit(url).map_err(|error| AcmeError::BadConfig {
                what: "the directory points elsewhere".into(),
                source: Some(error.into()),
            })?;
        }
        directory.raw = raw;
        Ok(directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Directory, AcmeError> {
        Directory::parse(Bytes::copy_from_slice(json.as_bytes()), &Origin::of("https://ca.test/dir").unwrap())
    }

    #[test]
    fn a_directory_is_read_tolerantly() {
        let directory = parse(
            r#"{"newNonce":"https://ca.test/n","newAccount":"https://ca.test/a","newOrder":"https://ca.test/o",
                "k7Gq":"https://community.test/random-value","meta":{"caaIdentities":["ca.test"],"website":"x",
                "profiles":{"classic":"the usual","tlsserver":"https://ca.test/p"}}}"#,
        )
        .unwrap();
        assert_eq!(directory.meta.caa_identities, ["ca.test".into()]);
        assert!(directory.meta.profiles.contains_key("tlsserver"));
        assert!(!directory.meta.external_account_required);
        assert_eq!(directory.renewal_info, None);
    }

    #[test]
    fn a_directory_that_points_elsewhere_is_refused() {
        for json in [
            r#"{"newNonce":"https://ca.test/n","newAccount":"https://ca.test/a","newOrder":"https://evil.test/o"}"#,
            r#"{"newNonce":"https://ca.test/n","newAccount":"https://ca.test/a","newOrder":"https://ca.test/o","revokeCert":"http://10.0.0.1/"}"#,
            r#"{"newNonce":"https://ca.test/n"}"#,
            "<html>",
        ] {
            assert!(matches!(parse(json), Err(AcmeError::BadConfig { .. })), "{json}");
        }
    }
}
