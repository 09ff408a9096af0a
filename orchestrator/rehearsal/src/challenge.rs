//! Challenges (RFC 8555 §7.1.5, §7.5.1): the ways to earn an authorization, and the start of a validation.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::account;
use crate::authorization::{self, Authorization, Event, Progress, Standing};
use crate::ca::Ca;
use crate::directory::Base;
use crate::problem::{Kind, Problem};
use crate::reply;
use crate::signed::{Reading, Signed};
use crate::validation::{self, Attempt};

/// Six characters tell the few challenges of one authorization apart, as at Boulder.
const SLUG_CHARS: usize = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChallengeKind {
    Http01,
    Dns01,
    /// A record that stays (draft-ietf-acme-dns-persist).
    DnsPersist01,
    TlsAlpn01,
    /// A type no client knows: RFC 8555 §8 wants it ignored, not stumbled over.
    Unknown,
}

impl ChallengeKind {
    /// What a name can be proven with; a wildcard only in DNS (RFC 8555 §8.3).
    pub(crate) fn offered(wildcard: bool, persists: bool) -> Vec<Self> {
        let mut offered = if wildcard {
            vec![Self::Dns01, Self::Unknown]
        } else {
            vec![Self::Http01, Self::Dns01, Self::TlsAlpn01, Self::Unknown]
        };
        offered.extend(persists.then_some(Self::DnsPersist01));
        offered
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
            Self::DnsPersist01 => "dns-persist-01",
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Unknown => "x-rehearsal-01",
        }
    }
}

fn slug(row: &Authorization, kind: ChallengeKind) -> String {
    let digest = Sha256::new().chain_update(row.token.as_bytes()).chain_update(kind.as_str()).finalize();
    let mut text = URL_SAFE_NO_PAD.encode(digest);
    text.truncate(SLUG_CHARS);
    text
}

fn url(row: &Authorization, kind: ChallengeKind, base: &Base) -> String {
    base.url(&format!("/acme/chall/{}/{}/{}", row.account, row.number, slug(row, kind)))
}

pub(crate) fn render(row: &Authorization, kind: ChallengeKind, base: &Base) -> Value {
    let mut value = json!({
        "type": kind.as_str(),
        "url": url(row, kind, base),
        "status": "pending",
    });
    if kind == ChallengeKind::DnsPersist01 {
        value["issuer-domain-names"] = json!(row.issuers);
        value["accounturi"] = Value::from(account::url(row.account, base));
    } else {
        value["token"] = json!(row.token);
    }
    match &row.progress {
        Progress::Valid { by, at } if *by == kind => {
            value["status"] = Value::from("valid");
            value["validated"] = Value::from(reply::instant(*at));
        }
        Progress::Invalid { by, at, error } if *by == kind => {
            value["status"] = Value::from("invalid");
            value["validated"] = Value::from(reply::instant(*at));
            value["error"] = json!(error);
        }
        _ => (),
    }
    value
}

/// `GET` of a challenge.
pub(crate) async fn read(
    Shared(ca): Shared<Arc<Ca>>,
    Path((account, number, wanted)): Path<(String, String, String)>,
    reading: Reading,
) -> Result<Response, Problem> {
    let (state, now) = ca.state();
    let row = authorization::find(&state, &account, &number, now)?;
    Ok(answer(row, find(row, &wanted)?, &reading.base))
}

/// POST to a challenge: a read with an empty payload, otherwise "I am ready" (RFC 8555 §7.5.1).
pub(crate) async fn post(
    Shared(ca): Shared<Arc<Ca>>,
    Path((account, number, wanted)): Path<(String, String, String)>,
    signed: Signed,
) -> Result<Response, Problem> {
    let reader = signed.account()?;
    let submits = !signed.is_read();
    if submits {
        signed.payload::<serde_json::Map<String, Value>>()?;
    }
    let (mut state, now) = ca.state();
    let row = authorization::find(&state, &account, &number, now)?;
    if row.account != reader {
        return Err(Problem::unauthorized("User account ID doesn't match account ID in authorization"));
    }
    let kind = find(row, &wanted)?;
    let response = answer(row, kind, &signed.base);
    if !submits {
        return Ok(response);
    }
    match row.standing() {
        Standing::Open => (),
        Standing::Submitted if ca.rules.conflict_on_resubmission => {
            return Err(Problem::new(
                Kind::Conflict,
                "Unable to update challenge :: authorization is already being validated",
            ));
        }
        Standing::Submitted | Standing::Valid => return Ok(response),
        Standing::Invalid => return Err(Problem::not_found("No such challenge")),
        Standing::Deactivated | Standing::Expired => {
            return Err(Problem::malformed("Unable to update challenge :: authorization must be pending"));
        }
    }
    if !ca.validator.can_validate(kind) {
        return Err(Problem::malformed(format!(
            "Unable to update challenge :: this CA does not validate {}",
            kind.as_str()
        )));
    }
    let attempt = Attempt {
        authorization: row.number,
        kind,
        name: row.name.clone(),
        token: row.token.clone(),
        key_authorization: format!("{}.{}", row.token, signed.thumbprint()),
        account_url: account::url(reader, &signed.base),
        issuers: Arc::clone(&row.issuers),
        at: now,
    };
    let number = row.number;
    state.ledger.change(number, |row| {
        row.progress = Progress::Pending { submitted: Some(kind) };
        row.history.push((now, Event::Submitted));
    });
    drop(state);
    validation::start(&ca, attempt);
    Ok(response)
}

fn find(row: &Authorization, wanted: &str) -> Result<ChallengeKind, Problem> {
    let kind = row.challenges.iter().copied().find(|kind| slug(row, *kind) == wanted);
    kind.ok_or_else(|| Problem::not_found("No such challenge"))
}

fn answer(row: &Authorization, kind: ChallengeKind, base: &Base) -> Response {
    let mut response = reply::json(StatusCode::OK, &render(row, kind, base));
    reply::set_location(&mut response, &url(row, kind, base));
    reply::add_link(&mut response, &row.url(base), "up");
    response
}
