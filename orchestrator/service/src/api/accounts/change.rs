//! `PATCH /v1/accounts/{account}`

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use issuance::ids::AccountId;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::api::ApiState;
use crate::api::auth::Operator;
use crate::api::body::given;
use crate::api::etag;
use crate::api::problem::{Problem, ProblemEntry, Problems};
use crate::api::query::PathId;
use crate::api::write::{Answer, WriteRequest, or_answered};
use crate::store::accounts::{self, AccountTerms, AccountView};
use crate::store::events::Event;
use crate::store::scope::Scope;

/// As in `migrations`.
const NOTE_CHARS_MAX: usize = 1_000;
/// Certificates are renewed a month before their end: whoever is away for longer should not find them expired.
const PAUSED_FOR_MAX: Duration = Duration::from_hours(14 * 24);

/// What is to be otherwise (RFC 7396): what is left away stays, and `null` takes away. What else an account is follows from
/// the configuration, and from what the CA says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountChange {
    /// For people, up to 1,000 characters.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub note: Option<Option<String>>,
    /// Nothing new is ordered before then, renewals neither; what is under way goes on. Two weeks from now at the most.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Timestamp>)]
    pub paused_until: Option<Option<Timestamp>>,
}

impl AccountChange {
    fn errors(&self, now: Timestamp) -> Vec<ProblemEntry> {
        let mut errors = Vec::new();
        let is_plain = |note: &str| {
            note.chars().count() <= NOTE_CHARS_MAX && !note.chars().any(|c| c.is_control() && c != '\n')
        };
        if self.note.iter().flatten().any(|note| !is_plain(note)) {
            let detail =
                format!("a note has up to {NOTE_CHARS_MAX} printable characters, in one line or several");
            errors.push(ProblemEntry::at("/note", "out-of-range", detail));
        }
        let is_near = |until: &Timestamp| *until > now && *until <= now.after(PAUSED_FOR_MAX);
        if self.paused_until.iter().flatten().any(|until| !is_near(until)) {
            let detail = "name an instant within the next 14 days, or null to go on now";
            errors.push(ProblemEntry::at("/paused_until", "out-of-range", detail));
        }
        errors
    }

    fn applied(self, terms: AccountTerms) -> AccountTerms {
        AccountTerms {
            note: self.note.map_or(terms.note, Option::unwrap_or_default),
            paused_until: self.paused_until.unwrap_or(terms.paused_until),
        }
    }
}

/// Changes what the operator says of an account: a note, and that nothing new is ordered for a while.
#[utoipa::path(
    patch, path = "/v1/accounts/{account}", tag = "accounts",
    params(
        ("account" = AccountId, Path, description = "The account's id, `acc_…`"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read: 412 if it was changed meanwhile")
    ),
    request_body = AccountChange,
    security(("bearer" = ["accounts:manage"])),
    responses((status = 200, description = "As it is now", body = AccountView), Problems)
)]
#[tracing::instrument(name = "api.accounts.change", skip_all, fields(account.id = %id))]
pub(super) async fn change(
    State(api): State<ApiState>,
    Operator(caller): Operator,
    PathId(id): PathId<AccountId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::AccountsManage)?;
    let wanted: AccountChange = request.json()?;
    let errors = wanted.errors(api.clock.now());
    if !errors.is_empty() {
        return Err(Problem::body_invalid(errors));
    }
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let before = accounts::hold(&mut write.work, id, api.account).await?;
    let before = before.ok_or_else(|| Problem::not_found("account"))?;
    etag::require(&request.headers, before.version)?;
    let terms = wanted.applied(before.terms());
    if terms == before.terms() {
        return write.finish(Answer::ok(&before).with_etag(etag::of(before.version))).await;
    }
    let after = accounts::change(&mut write.work, id, api.account, &terms).await?;
    let told = |view: &AccountView| json!({ "note": view.note, "paused_until": view.paused_until });
    write
        .work
        .tell(Event {
            kind: "account.changed",
            tenant: None,
            certificate: None,
            subject: id.to_string(),
            data: json!({ "before": told(&before), "after": told(&after) }),
        })
        .await?;
    let response = write.finish(Answer::ok(&after).with_etag(etag::of(after.version))).await?;
    api.wake.notify_one();
    Ok(response)
}
