//! `GET /v1/certificates/{certificate}/bundle`: chain and private key, as PEM, JSON or PKCS#12.
//!
//! The passphrase of a PKCS#12 file comes in a header, or in the document of a `POST`: never in the address, which is
//! written down by everything on the way.

#![expect(unused_qualifications, reason = "the description of a route qualifies what it names")]

use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use issuance::hexadecimal::hexadecimal;
use issuance::ids::{CertificateId, VersionId};
use issuance::time::Timestamp;
use metrics::counter;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::{IntoParams, ToSchema};
use zeroize::{Zeroize, Zeroizing};

use crate::api::ApiState;
use crate::api::bundles::open::{self, etag, is_known};
use crate::api::delivery_instruments::BUNDLES;
use crate::api::problem::{Problem, ProblemEntry, Problems};
use crate::api::query::{Parameters, PathId, one_of};
use crate::api::recipient::Recipient;
use crate::api::write::WriteRequest;
use crate::keys::pkcs12::{self, Passphrase};
use crate::store::bundles::{self, StoredBundle};
use crate::store::scope::Scope;

const PASSPHRASE: &str = "lockkeeper-passphrase";
const PEM_TYPE: &str = "application/pem-certificate-chain";
const PKCS12_TYPE: &str = "application/x-pkcs12";
const JSON_TYPE: &str = "application/json";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Pem,
    Json,
    Pkcs12,
}

impl Form {
    const WORDS: [&'static str; 3] = ["pem", "json", "pkcs12"];

    fn as_str(self) -> &'static str {
        match self {
            Self::Pem => "pem",
            Self::Json => "json",
            Self::Pkcs12 => "pkcs12",
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Pem => PEM_TYPE,
            Self::Json => JSON_TYPE,
            Self::Pkcs12 => PKCS12_TYPE,
        }
    }

    /// By the parameter, or else by the first of `Accept` that is served; PEM where nothing is said.
    fn asked(parameter: Option<&str>, headers: &HeaderMap) -> Result<Self, Problem> {
        match one_of("format", parameter, &Self::WORDS)? {
            Some("json") => return Ok(Self::Json),
            Some("pkcs12") => return Ok(Self::Pkcs12),
            Some(_) => return Ok(Self::Pem),
            None => {}
        }
        let mut accepted = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|range| range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
            .peekable();
        if accepted.peek().is_none() {
            return Ok(Self::Pem);
        }
        accepted
            .find_map(|range| match range.as_str() {
                "*/*" | "application/*" | PEM_TYPE | "application/x-pem-file" => Some(Self::Pem),
                JSON_TYPE => Some(Self::Json),
                PKCS12_TYPE | "application/pkcs12" => Some(Self::Pkcs12),
                _ => None,
            })
            .ok_or_else(|| Problem::not_served_as_asked(&[PEM_TYPE, JSON_TYPE, PKCS12_TYPE].join(", ")))
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Asked {
    /// `pem`, `json` or `pkcs12`; absent, what `Accept` says, or PEM.
    format: Option<String>,
    /// Another version than the current one.
    version: Option<VersionId>,
}

/// What is asked for with a passphrase.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct WantedPkcs12 {
    /// 8 to 64 printable ASCII characters.
    passphrase: Secret,
    /// Another version than the current one.
    #[serde(default)]
    version: Option<VersionId>,
}

/// Printed as nothing, and gone when it is dropped.
#[derive(Deserialize, ToSchema)]
#[serde(transparent)]
struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A bundle as JSON.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct BundleDocument {
    certificate_id: CertificateId,
    version_id: VersionId,
    names: Vec<String>,
    /// SHA-256 of the leaf, lower-case hexadecimal.
    fingerprint_sha256: String,
    not_before: Timestamp,
    not_after: Timestamp,
    /// The leaf, in PEM.
    cert: String,
    /// What stands between it and a root, in PEM.
    chain: String,
    /// Both.
    fullchain: String,
    /// The private key, PKCS#8 in PEM; null where whoever made the request has kept it.
    key: Option<String>,
    /// Why there is no key: `kept_by_requester`.
    key_absent: Option<&'static str>,
}

/// Chain and key. With `If-None-Match` 304 where it is the same.
#[utoipa::path(
    get,
    path = "/v1/certificates/{certificate}/bundle",
    tag = "delivery",
    security(("bearer" = ["bundles:read"])),
    params(
        ("certificate" = CertificateId, Path),
        Asked,
        ("If-None-Match" = Option<String>, Header, description = "The bundle that is known"),
        ("Lockkeeper-Passphrase" = Option<String>, Header, description = "Of the PKCS#12 file: 8 to 64 printable ASCII characters"),
    ),
    responses(
        (status = 200, description = "PEM: the chain, then the key", content(
            (String = "application/pem-certificate-chain"),
            (BundleDocument = "application/json"),
            (Vec<u8> = "application/x-pkcs12"),
        )),
        (status = 304, description = "It is what is known"),
        Problems
    )
)]
#[tracing::instrument(name = "api.certificates.bundle", skip_all, fields(certificate.id = %id))]
pub(in crate::api) async fn read(
    State(api): State<ApiState>,
    recipient: Recipient,
    PathId(id): PathId<CertificateId>,
    Parameters(asked): Parameters<Asked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    recipient.caller.require(Scope::BundlesRead)?;
    let form = Form::asked(asked.format.as_deref(), &headers)?;
    let stored = find(&api, &recipient, id, asked.version).await?;
    let etag = etag_of(&stored, form);
    if is_known(&headers, &etag) {
        counter!(BUNDLES, "form" => form.as_str(), "outcome" => "same").increment(1);
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response());
    }
    if form == Form::Pkcs12 {
        let given = headers.get(PASSPHRASE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let passphrase = Passphrase::parse(given).map_err(|error| {
            let detail = format!("{error}: send it in the header Lockkeeper-Passphrase, or POST it");
            Problem::body_invalid(vec![ProblemEntry::at("/passphrase", "bad-passphrase", detail)])
        })?;
        return send_pkcs12(&api, &recipient, &stored, &passphrase);
    }
    send(&api, &recipient, &stored, form)
}

/// Chain and key as PKCS#12, under the passphrase in the document.
#[utoipa::path(
    post,
    path = "/v1/certificates/{certificate}/bundle",
    tag = "delivery",
    security(("bearer" = ["bundles:read"])),
    params(("certificate" = CertificateId, Path)),
    request_body = WantedPkcs12,
    responses((status = 200, content((Vec<u8> = "application/x-pkcs12"))), Problems)
)]
#[tracing::instrument(name = "api.certificates.bundle", skip_all, fields(certificate.id = %id))]
pub(in crate::api) async fn create(
    State(api): State<ApiState>,
    recipient: Recipient,
    PathId(id): PathId<CertificateId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    recipient.caller.require(Scope::BundlesRead)?;
    let wanted: WantedPkcs12 = request.json()?;
    let passphrase = Passphrase::parse(&wanted.passphrase.0).map_err(|error| {
        Problem::body_invalid(vec![ProblemEntry::at("/passphrase", "bad-passphrase", error.to_string())])
    })?;
    let stored = find(&api, &recipient, id, wanted.version).await?;
    send_pkcs12(&api, &recipient, &stored, &passphrase)
}

async fn find(
    api: &ApiState,
    recipient: &Recipient,
    id: CertificateId,
    version: Option<VersionId>,
) -> Result<StoredBundle, Problem> {
    let found = bundles::find(&api.store, &recipient.audience, id, version).await?;
    let found = found.ok_or_else(|| Problem::not_found("certificate"))?;
    found.ok_or_else(|| match version {
        Some(_) => Problem::not_found("version of this certificate"),
        None => Problem::not_issued_yet(),
    })
}

/// Weak for PKCS#12, which is salted: two of one version are worth the same, and not the same bytes.
fn etag_of(stored: &StoredBundle, form: Form) -> String {
    let strong = etag(&stored.fingerprint_sha256, form.as_str(), stored.key_sealed.is_some());
    if form == Form::Pkcs12 { format!("W/{strong}") } else { strong }
}

fn send(
    api: &ApiState,
    recipient: &Recipient,
    stored: &StoredBundle,
    form: Form,
) -> Result<Response, Problem> {
    let bundle = open::open(api, stored)?;
    let fullchain = bundle.fullchain();
    let body = if form == Form::Json {
        let document = BundleDocument {
            certificate_id: stored.certificate,
            version_id: stored.version(),
            names: stored.names.clone(),
            fingerprint_sha256: hexadecimal(&stored.fingerprint_sha256),
            not_before: stored.not_before,
            not_after: stored.not_after,
            key_absent: bundle.key.is_none().then_some("kept_by_requester"),
            key: bundle.key.as_ref().map(|key| key.expose_secret().to_owned()),
            cert: bundle.cert,
            chain: bundle.chain,
            fullchain,
        };
        serde_json::to_vec(&document).map_err(|error| Problem::internal(&error))?
    } else {
        bundle.combined().map_or(fullchain, |both| both.to_string()).into_bytes()
    };
    Ok(respond(recipient, stored, form, body))
}

fn send_pkcs12(
    api: &ApiState,
    recipient: &Recipient,
    stored: &StoredBundle,
    passphrase: &Passphrase,
) -> Result<Response, Problem> {
    let key = open::key(&api.sealer, stored)?.ok_or_else(Problem::no_private_key)?;
    let name = stored.names.first().map_or("certificate", String::as_str);
    let file: Zeroizing<Vec<u8>> = pkcs12::encode(&stored.chain_pem, key.expose_secret(), name, passphrase)
        .map_err(|error| Problem::internal(&error))?;
    let mut response = respond(recipient, stored, Form::Pkcs12, file.to_vec());
    let file_name = HeaderValue::try_from(format!("attachment; filename=\"{}.p12\"", stored.certificate));
    if let Ok(file_name) = file_name {
        response.headers_mut().insert(CONTENT_DISPOSITION, file_name);
    }
    Ok(response)
}

/// Whoever takes a private key stands in the log.
fn respond(recipient: &Recipient, stored: &StoredBundle, form: Form, body: Vec<u8>) -> Response {
    counter!(BUNDLES, "form" => form.as_str(), "outcome" => "sent").increment(1);
    if stored.key_sealed.is_some() {
        info!(
            event = "bundle.handed_out",
            key.id = %recipient.caller.key, certificate.id = %stored.certificate, version.id = %stored.version(),
            "The private key of {} was handed out", stored.version()
        );
    }
    let headers = [
        (CONTENT_TYPE, form.content_type().to_owned()),
        // Nobody on the way keeps a private key.
        (CACHE_CONTROL, "no-store".to_owned()),
        (ETAG, etag_of(stored, form)),
    ];
    (headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_accepted_first_is_served_and_the_parameter_decides() {
        let asked = |parameter: Option<&str>, accept: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(ACCEPT, HeaderValue::from_static(value));
            }
            Form::asked(parameter, &headers).map_err(|_| ())
        };
        assert_eq!(asked(None, &[]), Ok(Form::Pem));
        assert_eq!(asked(None, &["text/html, application/json;q=0.5"]), Ok(Form::Json));
        assert_eq!(asked(None, &["application/x-pkcs12", "application/json"]), Ok(Form::Pkcs12));
        assert_eq!(asked(None, &["*/*"]), Ok(Form::Pem));
        assert_eq!(asked(None, &["text/html"]), Err(()));
        assert_eq!(asked(Some("pkcs12"), &["application/json"]), Ok(Form::Pkcs12));
        assert_eq!(asked(Some("der"), &[]), Err(()));
    }
}
