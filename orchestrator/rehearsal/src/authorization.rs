//! Authorizations (RFC 8555 §7.1.4, §7.5): the proof for one identifier, earned by one challenge.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use axum::response::Response;
use http::StatusCode;
use issuance::identifier::Hostname;
use issuance::limit::LimitName;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::account::Account;
use crate::ca::Ca;
use crate::challenge::{self, ChallengeKind};
use crate::directory::Base;
use crate::endpoint::Endpoint;
use crate::limits::Key;
use crate::problem::{Identifier, Problem};
use crate::reply;
use crate::signed::{Reading, Signed};
use crate::state::{Number, State};

#[derive(Debug)]
pub(crate) struct Authorization {
    pub(crate) number: Number<Authorization>,
    pub(crate) account: Number<Account>,
    pub(crate) profile: Arc<str>,
    /// As ordered, with the star of a wildcard.
    pub(crate) name: Hostname,
    pub(crate) token: Box<str>,
    /// In the order in which they are shown.
    pub(crate) challenges: Box<[ChallengeKind]>,
    /// What the CA is called in records that stay.
    pub(crate) issuers: Arc<[String]>,
    pub(crate) expires_at: Timestamp,
    pub(crate) progress: Progress,
    pub(crate) history: Vec<(Timestamp, Event)>,
}

#[derive(Debug)]
pub(crate) enum Progress {
    Pending { submitted: Option<ChallengeKind> },
    Valid { by: ChallengeKind, at: Timestamp },
    Invalid { by: ChallengeKind, at: Timestamp, error: Box<Problem> },
    Deactivated,
    Expired,
}

/// What an authorization counts as: its status, with the pending ones told apart by whether a challenge was
/// submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Open,
    Submitted,
    Valid,
    Invalid,
    Deactivated,
    Expired,
}

impl Standing {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Open | Self::Submitted => "pending",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Deactivated => "deactivated",
            Self::Expired => "expired",
        }
    }
}

/// One line in the history of an authorization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    Created,
    /// A valid authorization served a later order as well.
    Reused,
    Submitted,
    Validated,
    Failed,
    /// The verdict of a validation that was overtaken by a deactivation or by expiry.
    VerdictDropped,
    DeactivatedWhilePending,
    DeactivatedWhileValid,
    Expired,
}

impl Authorization {
    pub(crate) fn standing(&self) -> Standing {
        match self.progress {
            Progress::Pending { submitted: None } => Standing::Open,
            Progress::Pending { submitted: Some(_) } => Standing::Submitted,
            Progress::Valid { .. } => Standing::Valid,
            Progress::Invalid { .. } => Standing::Invalid,
            Progress::Deactivated => Standing::Deactivated,
            Progress::Expired => Standing::Expired,
        }
    }

    pub(crate) fn expire(&mut self) {
        self.progress = Progress::Expired;
        self.history.push((self.expires_at, Event::Expired));
    }

    pub(crate) fn url(&self, base: &Base) -> String {
        base.url(&format!("/acme/authz/{}/{}", self.account, self.number))
    }

    pub(crate) fn render(&self, base: &Base) -> Value {
        let shown: Vec<ChallengeKind> = match &self.progress {
            Progress::Valid { by, .. } | Progress::Invalid { by, .. } => vec![*by],
            _ => self.challenges.to_vec(),
        };
        let challenges: Vec<Value> =
            shown.into_iter().map(|kind| challenge::render(self, kind, base)).collect();
        let mut value = json!({
            "identifier": Identifier::dns(self.name.validation_target()),
            "status": self.standing().as_str(),
            "expires": reply::instant(self.expires_at),
            "challenges": challenges,
        });
        if self.name.is_wildcard() {
            value["wildcard"] = Value::Bool(true);
        }
        value
    }
}

/// `GET` or POST-as-GET of an authorization.
pub(crate) async fn read(
    Shared(ca): Shared<Arc<Ca>>,
    Path((account, number)): Path<(String, String)>,
    reading: Reading,
) -> Result<Response, Problem> {
    let (state, now) = ca.state();
    let row = find(&state, &account, &number, now)?;
    check_owner(row, reading.reader)?;
    check_known(&ca, row, now)?;
    Ok(reply::json(StatusCode::OK, &row.render(&reading.base)))
}

/// POST to an authorization: a read with an empty payload, otherwise a deactivation (RFC 8555 §7.5.2).
pub(crate) async fn post(
    Shared(ca): Shared<Arc<Ca>>,
    Path((account, number)): Path<(String, String)>,
    signed: Signed,
) -> Result<Response, Problem> {
    #[derive(Deserialize)]
    struct Update {
        status: String,
    }

    let reader = signed.account()?;
    let wants_deactivation = !signed.is_read();
    if wants_deactivation && signed.payload::<Update>()?.status != "deactivated" {
        return Err(Problem::malformed("Invalid status value"));
    }
    let (mut state, now) = ca.state();
    let row = find(&state, &account, &number, now)?;
    check_owner(row, Some(reader))?;
    if !wants_deactivation {
        check_known(&ca, row, now)?;
    }
    let (number, mut value) = (row.number, row.render(&signed.base));
    if wants_deactivation {
        deactivate(&mut state, number, now, ca.rules.charges_deactivation);
        // Boulder says so even where the authorization was past deactivating and stays what it was.
        value["status"] = Value::from("deactivated");
    }
    Ok(reply::json(StatusCode::OK, &value))
}

pub(crate) fn find<'a>(
    state: &'a State,
    account: &str,
    number: &str,
    now: Timestamp,
) -> Result<&'a Authorization, Problem> {
    let row = Number::parse(number)
        .and_then(|number| state.ledger.find(number))
        .filter(|row| Number::parse(account) == Some(row.account))
        .ok_or_else(unknown)?;
    if row.expires_at <= now {
        return Err(Problem::not_found("Expired authorization"));
    }
    Ok(row)
}

fn unknown() -> Problem {
    Problem::not_found("No such authorization")
}

/// A replica may not have it yet.
fn check_known(ca: &Ca, row: &Authorization, now: Timestamp) -> Result<(), Problem> {
    let age = row.history.first().map(|(created_at, _)| now.since(*created_at)).unwrap_or_default();
    match ca.draw(Endpoint::Authorization, None, |effect| effect.hides(age)) {
        Some(_) => Err(unknown()),
        None => Ok(()),
    }
}

pub(crate) fn check_owner(row: &Authorization, reader: Option<Number<Account>>) -> Result<(), Problem> {
    match reader {
        Some(account) if account != row.account => {
            Err(Problem::unauthorized("Account ID doesn't match ID for authorization"))
        }
        _ => Ok(()),
    }
}

fn deactivate(state: &mut State, number: Number<Authorization>, now: Timestamp, charged: bool) {
    let Some(row) = state.ledger.find(number) else { return };
    let event = match row.standing() {
        Standing::Open | Standing::Submitted => Event::DeactivatedWhilePending,
        Standing::Valid => Event::DeactivatedWhileValid,
        Standing::Invalid | Standing::Deactivated | Standing::Expired => return,
    };
    let (account, name) = (row.account, row.name.clone());
    state.ledger.change(number, |row| {
        row.progress = Progress::Deactivated;
        row.history.push((now, event));
    });
    if charged && event == Event::DeactivatedWhilePending {
        charge_failure(state, account, &name, now);
    }
}

/// What a failed validation costs: one token per hour's worth, and one step towards being paused.
pub(crate) fn charge_failure(state: &mut State, account: Number<Account>, name: &Hostname, now: Timestamp) {
    let key = Key::Name(account, name.clone());
    state.limits.spend(LimitName::FailedAuthorizationsPerHostname, key.clone(), now);
    if !state.limits.spend(LimitName::ConsecutiveFailuresPerHostname, key, now) {
        state.pauses.pause(account, name.clone(), now);
    }
}
