//! `GET /v1/hostnames`

use axum::Json;
use axum::extract::State;
use issuance::fault::FailureClass;
use serde::Deserialize;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::problem::{Problem, Problems};
use crate::api::query::Parameters;
use crate::api::wanted;
use crate::store::explanations::HostnameStatus;
use crate::store::hostnames_view::{self, HostnameFilter, HostnameSummary};
use crate::store::page::{Listing, Page};
use crate::store::scope::Scope;

const PREFIX_BYTES_MAX: usize = 253;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct ListParameters {
    limit: Option<u32>,
    cursor: Option<String>,
    status: Option<HostnameStatus>,
    tenant: Option<String>,
    external_id: Option<String>,
    label: Option<String>,
    q: Option<String>,
    failure_class: Option<FailureClass>,
}

/// Hostnames, in the order of their names.
#[utoipa::path(
    get,
    path = "/v1/hostnames",
    tag = "hostnames",
    params(
        ("limit" = Option<u32>, Query, description = "Rows on a page: 1 to 200"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("status" = Option<String>, Query, description = "How they are"),
        ("tenant" = Option<String>, Query, description = "A tenant's slug"),
        ("external_id" = Option<String>, Query, description = "Your own id"),
        ("label" = Option<String>, Query, description = "`name=value`, several of them with commas in between"),
        ("q" = Option<String>, Query, description = "How the name begins"),
        ("failure_class" = Option<String>, Query, description = "What is wrong")
    ),
    security(("bearer" = ["hostnames:read"])),
    responses((status = 200, description = "A page", body = Listing<HostnameSummary>), Problems)
)]
#[tracing::instrument(name = "api.hostnames.list", skip_all)]
pub(in crate::api) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    Parameters(asked): Parameters<ListParameters>,
) -> Result<Json<Listing<HostnameSummary>>, Problem> {
    caller.require(Scope::HostnamesRead)?;
    let is_beginning = |q: &String| {
        q.len() <= PREFIX_BYTES_MAX
            && q.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
    };
    let prefix = asked.q.map(|q| q.to_ascii_lowercase()).filter(|q| !q.is_empty());
    if prefix.as_ref().is_some_and(|q| !is_beginning(q)) {
        let detail = "a name begins with letters, digits, hyphens and dots; write an international one as it is in DNS (xn--…)";
        return Err(Problem::bad_parameter(Some("q"), detail));
    }
    let filter = HostnameFilter {
        status: asked.status,
        tenant: asked.tenant,
        external_id: asked.external_id,
        labels: wanted::label_filter(asked.label.as_slice())?,
        prefix,
        failure_class: asked.failure_class,
    };
    let page = Page::by_text(asked.limit, asked.cursor.as_deref(), &format!("{filter:?}"))?;
    let now = api.clock.now();
    Ok(Json(hostnames_view::list(&api.store, caller.viewer, api.account, now, &filter, &page).await?))
}
