//! `/v1/deployments`: which server has which version, and what it really serves.

#![expect(unused_qualifications, reason = "the description of a route qualifies what it names")]

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::response::Response;
use issuance::deployment::DeploymentState;
use issuance::ids::{CertificateId, VersionId};
use issuance::time::Timestamp;
use metrics::counter;
use serde::Deserialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::Caller;
use super::delivery_instruments::REPORTS;
use super::problem::{Problem, ProblemEntry, Problems};
use super::query::{Parameters, one_of, page};
use super::recipient::Recipient;
use super::write::{Answer, WriteRequest, or_answered};
use crate::store::deployments::{self, Before, DeploymentFilter, DeploymentView, Probe, Reported, Told};
use crate::store::events::Event;
use crate::store::page::Listing;
use crate::store::scope::Scope;

const TARGET_BYTES_MAX: usize = 253;
const PROBES_MAX: usize = 64;
const FAULT_CHARS_MAX: usize = 1_000;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(write, delete))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    limit: Option<u32>,
    cursor: Option<String>,
    /// `deployed`, `not_served` or `failed`; `failing` is both of the last two.
    state: Option<String>,
    /// Whether a later version has been issued.
    stale: Option<bool>,
    /// What the server is called.
    target: Option<String>,
    certificate: Option<CertificateId>,
    /// Whose agent has told nothing since then.
    reported_before: Option<Timestamp>,
}

/// What an agent tells of one certificate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Report {
    /// What is installed; absent where nothing is.
    #[serde(default)]
    version_id: Option<VersionId>,
    #[serde(default)]
    installed_at: Option<Timestamp>,
    /// What went wrong on the server.
    #[serde(default)]
    fault: Option<String>,
    /// What was seen at each of its addresses.
    #[serde(default, deserialize_with = "crate::json::objects")]
    probes: Vec<Probe>,
}

impl Report {
    /// What is told, or everything that is wrong with it.
    fn told(self, now: Timestamp) -> Result<Told, Vec<ProblemEntry>> {
        let mut errors = Vec::new();
        let mut wrong = |pointer: String, code, detail: String| {
            errors.push(ProblemEntry::at(pointer, code, detail));
        };
        let long =
            |text: &Option<String>| text.as_ref().is_some_and(|text| text.chars().count() > FAULT_CHARS_MAX);
        if long(&self.fault) {
            wrong(
                "/fault".into(),
                "too-long",
                format!("a fault has {FAULT_CHARS_MAX} characters at the most"),
            );
        }
        if self.probes.len() > PROBES_MAX {
            wrong("/probes".into(), "too-many", format!("tell of {PROBES_MAX} addresses at the most"));
        }
        if self.version_id.is_none() && self.fault.is_none() {
            wrong("/fault".into(), "missing", "say what is installed, or why nothing is".into());
        }
        for (place, probe) in self.probes.iter().enumerate().take(PROBES_MAX) {
            let is_print = |text: &String| {
                text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            };
            if probe.fingerprint_sha256.as_ref().is_some_and(|print| !is_print(print)) {
                let detail = "a fingerprint is SHA-256 in 64 lower-case hexadecimal digits";
                wrong(format!("/probes/{place}/fingerprint_sha256"), "not-a-fingerprint", detail.into());
            }
            let fields = [("address", &probe.address), ("server_name", &probe.server_name)];
            for (field, text) in fields {
                if text.is_empty() || text.len() > TARGET_BYTES_MAX || text.chars().any(char::is_control) {
                    let detail = format!("1 to {TARGET_BYTES_MAX} bytes without control characters");
                    wrong(format!("/probes/{place}/{field}"), "out-of-range", detail);
                }
            }
            if long(&probe.fault) {
                let detail = format!("a fault has {FAULT_CHARS_MAX} characters at the most");
                wrong(format!("/probes/{place}/fault"), "too-long", detail);
            }
        }
        if errors.is_empty() {
            let installed = self.version_id.map(|version| (version, self.installed_at.unwrap_or(now)));
            return Ok(Told { installed, fault: self.fault, probes: self.probes });
        }
        Err(errors)
    }
}

/// A certificate and a server in the path.
#[derive(Debug)]
pub(super) struct PathTarget(CertificateId, String);

impl<S: Send + Sync> FromRequestParts<S> for PathTarget {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(Path((certificate, target))) =
            Path::<(String, String)>::from_request_parts(parts, state).await
        else {
            return Err(Problem::no_route());
        };
        let certificate = certificate.parse().map_err(|_| Problem::not_found("certificate"))?;
        if target.is_empty() || target.len() > TARGET_BYTES_MAX || target.chars().any(char::is_control) {
            let detail =
                format!("a server's name has 1 to {TARGET_BYTES_MAX} bytes without control characters");
            return Err(Problem::bad_parameter(Some("target"), detail));
        }
        Ok(Self(certificate, target))
    }
}

/// Oldest first.
#[utoipa::path(
    get,
    path = "/v1/deployments",
    tag = "delivery",
    security(("bearer" = ["certificates:read"])),
    params(Asked),
    responses((status = 200, body = Listing<DeploymentView>), Problems)
)]
#[tracing::instrument(name = "api.deployments.list", skip_all)]
pub(super) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    Parameters(asked): Parameters<Asked>,
) -> Result<Json<Listing<DeploymentView>>, Problem> {
    caller.require(Scope::CertificatesRead)?;
    let words = ["deployed", "not_served", "failed", "failing"];
    let states = match one_of("state", asked.state.as_deref(), &words)? {
        None => Vec::new(),
        Some("failing") => vec![DeploymentState::NotServed, DeploymentState::Failed],
        Some(word) => DeploymentState::parse(word).into_iter().collect(),
    };
    let filter = DeploymentFilter {
        states,
        stale: asked.stale,
        target: asked.target,
        certificate: asked.certificate,
        reported_before: asked.reported_before,
    };
    let page = page(asked.limit, asked.cursor.as_deref(), &filter)?;
    Ok(Json(deployments::list(&api.store, caller.viewer, &filter, &page).await?))
}

/// What a server has of a certificate, in place of what was told before.
#[utoipa::path(
    put,
    path = "/v1/deployments/{certificate}/{target}",
    tag = "delivery",
    security(("bearer" = ["deployments:manage"])),
    params(("certificate" = CertificateId, Path), ("target" = String, Path)),
    request_body = Report,
    responses((status = 200, body = DeploymentView), Problems)
)]
#[tracing::instrument(name = "api.deployments.write", skip_all, fields(certificate.id = %certificate))]
pub(super) async fn write(
    State(api): State<ApiState>,
    recipient: Recipient,
    PathTarget(certificate, target): PathTarget,
    request: WriteRequest,
) -> Result<Response, Problem> {
    recipient.caller.require(Scope::DeploymentsManage)?;
    let report: Report = request.json()?;
    let told = report.told(api.clock.now()).map_err(Problem::body_invalid)?;
    let mut write = or_answered!(request.begin(&api, &recipient.caller).await?);
    let kept = deployments::report(&mut write.work, &recipient.audience, certificate, &target, &told).await?;
    let (view, before) = match kept {
        Reported::NoCertificate => return Err(Problem::not_found("certificate")),
        Reported::NoVersion => {
            let detail = "the certificate has no such version";
            return Err(Problem::body_invalid(vec![ProblemEntry::at("/version_id", "not-found", detail)]));
        }
        Reported::Kept { view, before } => (view, before),
    };
    // What is told again and again is told of once.
    let after = Before { state: view.state.clone(), version_id: view.version_id };
    if before.as_ref() != Some(&after) {
        write.work.tell(event(&view, before.as_ref(), &after)).await?;
    }
    let state = DeploymentState::parse(&view.state).map_or("unknown", DeploymentState::as_str);
    counter!(REPORTS, "state" => state).increment(1);
    write.finish(Answer::ok(&view)).await
}

/// Forgets a server that is gone.
#[utoipa::path(
    delete,
    path = "/v1/deployments/{certificate}/{target}",
    tag = "delivery",
    security(("bearer" = ["deployments:manage"])),
    params(("certificate" = CertificateId, Path), ("target" = String, Path)),
    responses((status = 204, description = "It is forgotten"), Problems)
)]
#[tracing::instrument(name = "api.deployments.delete", skip_all, fields(certificate.id = %certificate))]
pub(super) async fn delete(
    State(api): State<ApiState>,
    recipient: Recipient,
    PathTarget(certificate, target): PathTarget,
    request: WriteRequest,
) -> Result<Response, Problem> {
    recipient.caller.require(Scope::DeploymentsManage)?;
    let mut write = or_answered!(request.begin(&api, &recipient.caller).await?);
    let gone = deployments::forget(&mut write.work, &recipient.audience, certificate, &target).await?;
    let view = gone.ok_or_else(|| Problem::not_found("deployment"))?;
    let data = json!({ "before": view, "after": null });
    write.work.tell(about("deployment.deleted", &view, data)).await?;
    write.finish(Answer::no_content()).await
}

fn event(view: &DeploymentView, before: Option<&Before>, after: &Before) -> Event {
    let kind = match DeploymentState::parse(&view.state) {
        Some(DeploymentState::Deployed) => "certificate.deployed",
        _ => "certificate.deploy_failed",
    };
    let data = json!({
        "deployment_id": view.id,
        "target": view.target,
        "fault": view.fault,
        "before": before,
        "after": after,
    });
    about(kind, view, data)
}

fn about(kind: &'static str, view: &DeploymentView, data: serde_json::Value) -> Event {
    Event {
        kind,
        tenant: Some(view.tenant_id),
        certificate: Some(view.certificate_id),
        subject: view.id.to_string(),
        data,
    }
}
