//! `PUT` and `DELETE /v1/hostnames/{hostname}`

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{ETAG, LOCATION};
use axum::response::{IntoResponse as _, Response};
use issuance::identifier::{Hostname, Identifiers};
use issuance::key_kind::KeyKind;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::certificates::create::WantedLane;
use crate::api::etag::{self, Etag};
use crate::api::prefer::Wait;
use crate::api::problem::{Problem, ProblemEntry, Problems};
use crate::api::query::{Parameters, PathHostname};
use crate::api::wanted::{Faults, WantedChallenge, WantedKey};
use crate::api::write::{Answer, WriteRequest, or_answered};
use crate::store::events::Event;
use crate::store::explanations::HostnameView;
use crate::store::hostname_wishes::{self, Put, PutRefusal, WantedCertificate, WantedHostname};
use crate::store::scope::Scope;

/// How a hostname is to be: all of it, what is left out is as if it had never been said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostnameWish {
    /// The tenant's slug: for the operator, whose key is nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Your own id of it, unique among the tenant's hostnames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Absent: `http-01`, or `dns-01` with a wildcard.
    #[serde(
        default,
        deserialize_with = "crate::json::optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub challenge: Option<WantedChallenge>,
    /// A certificate is kept for it. Absent: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_certificate: Option<bool>,
    /// What else the certificate is to have, such as the name with `www`, or `*.` and the name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names_with: Vec<String>,
    /// `ecdsa-p256`, `ecdsa-p384`, `rsa2048`, `rsa3072` or `rsa4096`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub key_type: Option<KeyKind>,
    /// A renewal keeps the key. Absent: only where there is a `csr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse_key: Option<bool>,
    /// For so many days at the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_days_max: Option<u16>,
    /// A certificate request in PEM, of whoever keeps the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csr: Option<String>,
    /// Absent: `interactive`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<WantedLane>,
}

/// Puts a hostname in place, and orders its certificate. The same again changes nothing, so it may be sent as often as
/// one likes. `Prefer: wait=N` holds the answer until it stands well, or until it is known why not.
#[utoipa::path(
    put,
    path = "/v1/hostnames/{hostname}",
    tag = "hostnames",
    params(
        ("hostname" = String, Path, description = "The name, in any spelling"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read: 412 if it was changed meanwhile"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: hold the answer for up to N seconds (30 at the most)")
    ),
    request_body = HostnameWish,
    security(("bearer" = ["hostnames:write"])),
    responses(
        (status = 200, description = "It was so already, or was waited for", body = HostnameView),
        (status = 201, description = "It is there, and is new", body = HostnameView),
        (status = 202, description = "It is there, and its certificate is on its way", body = HostnameView),
        Problems
    )
)]
#[tracing::instrument(name = "api.hostnames.put", skip_all)]
pub(in crate::api) async fn put(
    State(api): State<ApiState>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::HostnamesWrite)?;
    let Path(text) = path.map_err(|_| Problem::no_route())?;
    let hostname = named(&text)?;
    let wanted: HostnameWish = request.json_or_default()?;
    let (method, certificate) = judged(&hostname, &wanted)?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let tenant = crate::api::certificates::tenant(&mut write.work, wanted.tenant.as_deref()).await?;
    let before = hostname_wishes::lock(&mut write.work, &hostname).await?.filter(|one| one.tenant == tenant);
    match &before {
        Some(before) => etag::require(&request.headers, before.version)?,
        None => etag::require(&request.headers, 0)?,
    }
    let wish = WantedHostname {
        tenant,
        account: api.account,
        hostname: &hostname,
        external_id: wanted.external_id.as_deref(),
        labels: &wanted.labels,
        method,
        certificate,
    };
    let put = hostname_wishes::put(&mut write.work, &wish, before.as_ref()).await?.map_err(refused)?;
    tell(&mut write, tenant, &hostname, &put).await?;
    let orders = put.certificate_created || put.certificate_changed;
    let view = super::explained_in(&mut write.work, &api, &hostname).await?;
    let status = match (put.created, orders) {
        (_, true) => StatusCode::ACCEPTED,
        (true, false) => StatusCode::CREATED,
        (false, false) => StatusCode::OK,
    };
    let tag = Etag::of(view.version, &view);
    let location = format!("/v1/hostnames/{}", hostname.validation_target());
    let answer = Answer::of(status, &view).with_location(location.clone()).with_etag(tag.as_str());
    let response = write.finish(answer).await?;
    if orders {
        api.wake.notify_one();
    }
    let Some(wait) = Wait::of(&request.headers).filter(|_| wanted.auto_certificate != Some(false)) else {
        return Ok(response);
    };
    let is_told = |view: &HostnameView| view.status.is_settled();
    let view = wait.until(&api, || super::explained(&api, caller.viewer, &hostname), is_told).await?;
    let status = match (is_told(&view), put.created) {
        (false, _) => StatusCode::ACCEPTED,
        (true, true) => StatusCode::CREATED,
        (true, false) => StatusCode::OK,
    };
    let tag = Etag::of(view.version, &view);
    let headers = [(LOCATION, location), (ETAG, tag.as_str().to_owned())];
    Ok(wait.applied((status, headers, Json(view)).into_response()))
}

/// The name in the path, for whoever is about to write it: what is wrong with it is told.
fn named(text: &str) -> Result<Hostname, Problem> {
    let wrong =
        |code, detail: String| Problem::body_invalid(vec![ProblemEntry::at("?hostname", code, detail)]);
    let hostname = Hostname::parse(text).map_err(|error| wrong(error.code(), error.to_string()))?;
    if hostname.is_wildcard() {
        let detail = format!(
            "a wildcard belongs to the name below it: put {} with names_with [\"{hostname}\"] and the challenge dns-01",
            hostname.validation_target()
        );
        return Err(wrong("wildcard", detail));
    }
    Ok(hostname)
}

fn judged(
    hostname: &Hostname,
    wanted: &HostnameWish,
) -> Result<(issuance::authorization::ValidationMethod, Option<WantedCertificate>), Problem> {
    let mut faults = Faults::default();
    faults.slug(wanted.tenant.as_deref());
    faults.external_id(wanted.external_id.as_deref());
    faults.labels(&wanted.labels);
    let mut names = Some(vec![hostname.clone()]);
    for (place, name) in wanted.names_with.iter().enumerate() {
        match (Hostname::parse(name), &mut names) {
            (Ok(name), Some(names)) => names.push(name),
            (Ok(_), None) => {}
            (Err(error), _) => {
                faults.add(format!("/names_with/{place}"), error.code(), error.to_string());
                names = None;
            }
        }
    }
    let names: Option<Identifiers> = names.and_then(|names| faults.set("/names_with", names));
    let method = faults.method(wanted.challenge.as_ref(), names.as_ref());
    let key = WantedKey {
        kind: wanted.key_type,
        reuse: wanted.reuse_key,
        days_max: wanted.key_days_max,
        csr: wanted.csr.clone(),
    };
    let key = names.as_ref().and_then(|names| faults.key(&key, Some(names)));
    let is_kept = wanted.auto_certificate.unwrap_or(true);
    if !is_kept && (!wanted.names_with.is_empty() || wanted.csr.is_some()) {
        let detail = "without a certificate nothing goes with the name: leave names_with and csr out";
        faults.add("/auto_certificate", "no_certificate", detail);
    }
    faults.end()?;
    let (Some(names), Some(method), Some((key, _))) = (names, method, key) else {
        return Err(Problem::body_invalid(Vec::new()));
    };
    let lane = wanted.lane.unwrap_or_default().lane();
    Ok((method, is_kept.then_some(WantedCertificate { names, key, lane })))
}

fn refused(refusal: PutRefusal) -> Problem {
    match refusal {
        PutRefusal::HostnameOwnedByOtherTenant(name) => Problem::hostname_owned(name.as_str()),
        PutRefusal::ExternalIdTaken { by } => Problem::external_id_taken(&by),
        PutRefusal::Excess(excess) => Problem::excess(&excess),
    }
}

async fn tell(
    write: &mut crate::api::write::Write,
    tenant: issuance::ids::TenantId,
    hostname: &Hostname,
    put: &Put,
) -> Result<(), Problem> {
    if put.created || put.changed {
        let kind = if put.created { "hostname.created" } else { "hostname.changed" };
        let data = json!({ "before": put.before, "after": put.after });
        let subject = hostname.to_string();
        write
            .work
            .tell(Event { kind, tenant: Some(tenant), certificate: put.certificate, subject, data })
            .await?;
    }
    let Some(certificate) = put.certificate else { return Ok(()) };
    if put.certificate_created || put.certificate_changed {
        let kind = if put.certificate_created { "certificate.created" } else { "certificate.changed" };
        let data = json!({ "hostname": hostname });
        let subject = certificate.to_string();
        write
            .work
            .tell(Event { kind, tenant: Some(tenant), certificate: Some(certificate), subject, data })
            .await?;
    }
    crate::api::certificates::tell_over(&mut write.work, tenant, certificate, &put.over).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct DeleteParameters {}

/// Gives a hostname up. Its certificate goes with it, and the names that came with that; orders at the CA are settled
/// first. It is free for others as soon as the CA has forgotten that it was proven, which it is told at once.
#[utoipa::path(
    delete,
    path = "/v1/hostnames/{hostname}",
    tag = "hostnames",
    params(
        ("hostname" = String, Path, description = "The name, in any spelling"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read: 412 if it was changed meanwhile")
    ),
    security(("bearer" = ["hostnames:write"])),
    responses((status = 204, description = "It is gone"), Problems)
)]
#[tracing::instrument(name = "api.hostnames.delete", skip_all)]
pub(in crate::api) async fn delete(
    State(api): State<ApiState>,
    caller: Caller,
    PathHostname(hostname): PathHostname,
    Parameters(DeleteParameters {}): Parameters<DeleteParameters>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::HostnamesWrite)?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let locked = hostname_wishes::lock(&mut write.work, &hostname).await?;
    let locked = locked.filter(|_| !hostname.is_wildcard()).ok_or_else(|| Problem::not_found("hostname"))?;
    etag::require(&request.headers, locked.version)?;
    let given_up = hostname_wishes::give_up(&mut write.work, api.account, &hostname, &locked)
        .await?
        .map_err(|others| Problem::hostname_in_use(&others))?;
    let tenant = Some(locked.tenant);
    let data = json!({ "before": given_up.before, "certificates": given_up.certificates });
    let subject = hostname.to_string();
    let certificate = locked.certificate;
    write.work.tell(Event { kind: "hostname.deleted", tenant, certificate, subject, data }).await?;
    for id in &given_up.certificates {
        let data = json!({ "hostname": hostname });
        let subject = id.to_string();
        let told = Event { kind: "certificate.deleted", tenant, certificate: Some(*id), subject, data };
        write.work.tell(told).await?;
    }
    for order in &given_up.orders {
        let data = json!({ "order_id": order });
        let subject = order.to_string();
        write.work.tell(Event { kind: "order.cancelled", tenant, certificate, subject, data }).await?;
    }
    let response = write.finish(Answer::no_content()).await?;
    api.wake.notify_one();
    Ok(response)
}
