//! `/v1/limit-overrides`: where the CA counts otherwise than its profile says.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use issuance::gcra::Bucket;
use issuance::identifier::Hostname;
use issuance::ids::LimitOverrideId;
use issuance::limit::{LimitName, LimitScope};
use issuance::mirror::LimitOverride;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::Operator;
use super::problem::{Problem, ProblemEntry, Problems};
use super::query::PathId;
use super::write::{Answer, WriteRequest, or_answered};
use crate::store::events::Event;
use crate::store::limit_overrides::{self, NewOverride, OverrideView};
use crate::store::scope::Scope;

const NOTE_CHARS_MAX: usize = 1_000;
/// No CA counts over a longer time.
const PERIOD_SECONDS_MAX: u64 = 366 * 24 * 3_600;
/// How long more is sought unless said otherwise, and at the most: a CA answers such a request within weeks.
const SEARCH: Duration = Duration::from_hours(7 * 24);
const SEARCH_MAX: Duration = Duration::from_hours(90 * 24);

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(seek, stop_seeking))
        .routes(routes!(delete))
}

/// All of them, oldest first: there are few.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OverrideList {
    pub data: Vec<OverrideView>,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedOverride {
    pub limit: LimitName,
    pub burst: u32,
    /// Absent: as many as the burst.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    pub period_seconds: u64,
    /// The registered domain for which it holds; absent: the account, where the limit counts accounts, or all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Who granted it, and where that is written.
    pub note: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl WantedOverride {
    /// Everything that is wrong with it.
    fn errors(&self, now: Timestamp) -> Vec<ProblemEntry> {
        let mut errors = Vec::new();
        let period = Duration::from_secs(self.period_seconds);
        if self.period_seconds == 0 || self.period_seconds > PERIOD_SECONDS_MAX {
            let detail = format!("a period is 1 s to {PERIOD_SECONDS_MAX} s");
            errors.push(ProblemEntry::at("/period_seconds", "out-of-range", detail));
        } else if Bucket::new(self.burst, self.count.unwrap_or(self.burst), period).is_none() {
            let detail = "burst and count are positive, and no more than one a microsecond come back";
            errors.push(ProblemEntry::at("/burst", "out-of-range", detail));
        }
        let keyed = self.limit.scope() == LimitScope::RegisteredDomain;
        match self.key.as_deref() {
            Some(_) if !keyed => {
                let detail =
                    format!("only a limit of registered domains takes a key, not {}", self.limit.as_str());
                errors.push(ProblemEntry::at("/key", "not-wanted", detail));
            }
            Some(key) if !is_registered_domain(key) => {
                let detail = "the key is a registered domain in lower case, such as example.com";
                errors.push(ProblemEntry::at("/key", "not-a-registered-domain", detail));
            }
            _ => {}
        }
        if self.note.trim().is_empty() || self.note.chars().count() > NOTE_CHARS_MAX {
            let detail = format!("say in up to {NOTE_CHARS_MAX} characters who granted it");
            errors.push(ProblemEntry::at("/note", "out-of-range", detail));
        }
        if self.expires_at.is_some_and(|at| at <= now) {
            let detail = "it has expired already";
            errors.push(ProblemEntry::at("/expires_at", "in-the-past", detail));
        }
        errors
    }
}

fn is_registered_domain(key: &str) -> bool {
    Hostname::parse(key).is_ok_and(|name| name.registered_domain() == key)
}

/// Where the CA counts otherwise than its profile says.
#[utoipa::path(
    get,
    path = "/v1/limit-overrides",
    tag = "limits",
    security(("bearer" = ["accounts:manage"])),
    responses((status = 200, body = OverrideList), Problems)
)]
#[tracing::instrument(name = "api.limit_overrides.list", skip_all)]
pub(super) async fn list(
    State(api): State<ApiState>,
    Operator(caller): Operator,
) -> Result<Json<OverrideList>, Problem> {
    caller.require(Scope::AccountsManage)?;
    let data = limit_overrides::list(&api.store, api.clock.now(), api.account).await?;
    Ok(Json(OverrideList { data }))
}

/// One for the same limit, account and key is replaced.
#[utoipa::path(
    post,
    path = "/v1/limit-overrides",
    tag = "limits",
    security(("bearer" = ["accounts:manage"])),
    request_body = WantedOverride,
    responses((status = 201, description = "It holds from the next order on", body = OverrideView), Problems)
)]
#[tracing::instrument(name = "api.limit_overrides.create", skip_all)]
pub(super) async fn create(
    State(api): State<ApiState>,
    Operator(caller): Operator,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::AccountsManage)?;
    let wanted: WantedOverride = request.json()?;
    let errors = wanted.errors(api.clock.now());
    if !errors.is_empty() {
        return Err(Problem::body_invalid(errors));
    }
    let of_accounts = matches!(wanted.limit.scope(), LimitScope::Account | LimitScope::AccountAndHostname);
    let new = NewOverride {
        numbers: LimitOverride {
            limit: wanted.limit,
            account: of_accounts.then_some(api.account),
            key: wanted.key.map(Box::from),
            burst: wanted.burst,
            count: wanted.count.unwrap_or(wanted.burst),
            period_seconds: wanted.period_seconds,
        },
        note: wanted.note.trim().to_owned(),
        expires_at: wanted.expires_at,
    };
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let change = limit_overrides::enter(&mut write.work, api.account, &new).await?;
    let change = change.ok_or_else(Problem::account_missing)?;
    let data = json!({ "before": change.before, "after": change.after });
    write.work.tell(told("limit_override.entered", change.after.id, data)).await?;
    let location = format!("/v1/limit-overrides/{}", change.after.id);
    let response = write.finish(Answer::created(&change.after, location)).await?;
    // More may be let through now.
    api.wake.notify_one();
    Ok(response)
}

fn told(kind: &'static str, id: LimitOverrideId, data: Value) -> Event {
    Event { kind, tenant: None, certificate: None, subject: id.to_string(), data }
}

/// The wish to find out how many new orders the CA grants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedSearch {
    /// Absent: a week from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What is sought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SearchView {
    pub until: Timestamp,
}

/// Takes the operator's word that the CA may grant more new orders than is known.
#[utoipa::path(
    post,
    path = "/v1/limit-overrides/search",
    tag = "limits",
    security(("bearer" = ["accounts:manage"])),
    request_body = Option<WantedSearch>,
    responses((status = 200, description = "One order at a time goes beyond what is known", body = SearchView), Problems)
)]
#[tracing::instrument(name = "api.limit_overrides.seek", skip_all)]
pub(super) async fn seek(
    State(api): State<ApiState>,
    Operator(caller): Operator,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::AccountsManage)?;
    let wanted: WantedSearch = request.json_or_default()?;
    let now = api.clock.now();
    let until = wanted.until.unwrap_or_else(|| now.after(SEARCH));
    if until <= now || until > now.after(SEARCH_MAX) {
        let detail = format!("a search ends within {} days from now", SEARCH_MAX.as_secs() / (24 * 3_600));
        return Err(Problem::body_invalid(vec![ProblemEntry::at("/until", "out-of-range", detail)]));
    }
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let before = limit_overrides::seek(&mut write.work, api.account, Some(until)).await?;
    write.work.tell(searched(&api, before, Some(until))).await?;
    let response = write.finish(Answer::ok(&SearchView { until })).await?;
    api.wake.notify_one();
    Ok(response)
}

/// Ends the search for more.
#[utoipa::path(
    delete,
    path = "/v1/limit-overrides/search",
    tag = "limits",
    security(("bearer" = ["accounts:manage"])),
    responses((status = 204, description = "No more is sought than is known"), Problems)
)]
#[tracing::instrument(name = "api.limit_overrides.stop_seeking", skip_all)]
pub(super) async fn stop_seeking(
    State(api): State<ApiState>,
    Operator(caller): Operator,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::AccountsManage)?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let before = limit_overrides::seek(&mut write.work, api.account, None).await?;
    write.work.tell(searched(&api, before, None)).await?;
    write.finish(Answer::no_content()).await
}

fn searched(api: &ApiState, before: Option<Timestamp>, after: Option<Timestamp>) -> Event {
    let data = json!({ "before": { "until": before }, "after": { "until": after } });
    let subject = api.account.to_string();
    Event { kind: "account.search", tenant: None, certificate: None, subject, data }
}

/// Takes an override back.
#[utoipa::path(
    delete,
    path = "/v1/limit-overrides/{override}",
    tag = "limits",
    security(("bearer" = ["accounts:manage"])),
    params(("override" = LimitOverrideId, Path, description = "The override's id, `lov_…`")),
    responses((status = 204, description = "The CA counts as its profile says"), Problems)
)]
#[tracing::instrument(name = "api.limit_overrides.delete", skip_all, fields(override.id = %id))]
pub(super) async fn delete(
    State(api): State<ApiState>,
    Operator(caller): Operator,
    PathId(id): PathId<LimitOverrideId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::AccountsManage)?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let before = limit_overrides::take_back(&mut write.work, api.account, id).await?;
    let before = before.ok_or_else(|| Problem::not_found("override"))?;
    write.work.tell(told("limit_override.removed", id, json!({ "before": before }))).await?;
    write.finish(Answer::no_content()).await
}
