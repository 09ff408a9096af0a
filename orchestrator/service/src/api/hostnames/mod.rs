//! `/v1/hostnames/{hostname}`: one name, and what can be done about it.

pub(super) mod check;
pub(super) mod list;
pub(super) mod overrides;
pub mod put;
pub(super) mod read;
pub(super) mod resume;
pub(super) mod transfer;

use std::net::IpAddr;

use issuance::caa::Permission;
use issuance::check::{Check, Outcome};
use issuance::homograph;
use issuance::identifier::Hostname;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::problem::Problem;
use crate::store::certificates;
use crate::store::events::Event;
use crate::store::explanations::{self, CertificateBrief, HostnameView, RecordView, WarningView};
use crate::store::viewer::Viewer;
use crate::store::work::Work;

pub use overrides::WantedSkip;
pub use transfer::{TransferReport, WantedTransfer};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(read::read, put::put, put::delete))
        .routes(routes!(check::create))
        .routes(routes!(resume::create))
        .routes(routes!(overrides::write, overrides::delete))
        .merge(transfer::routes())
}

async fn explained(api: &ApiState, viewer: Viewer, hostname: &Hostname) -> Result<HostnameView, Problem> {
    let now = api.clock.now();
    let found = explanations::find(&api.store, viewer, api.account, hostname, now).await?;
    let mut view = found.ok_or_else(|| Problem::not_found("hostname"))?;
    view.records = records(hostname, &view, &api.publish);
    view.warnings = warnings(hostname);
    if let Some(id) = view.certificate_id {
        let found = certificates::find(&api.store, viewer, now, id).await?;
        view.certificate = found.map(|found| CertificateBrief {
            id,
            status: found.status,
            next_attempt_at: found.next_attempt_at,
        });
    }
    Ok(view)
}

/// The same, as it will be when this work is done.
async fn explained_in(work: &mut Work, api: &ApiState, hostname: &Hostname) -> Result<HostnameView, Problem> {
    let found = explanations::find_in(work, api.account, hostname).await?;
    let mut view = found.ok_or_else(|| Problem::not_found("hostname"))?;
    view.records = records(hostname, &view, &api.publish);
    view.warnings = warnings(hostname);
    if let Some(id) = view.certificate_id {
        let found = certificates::find_within(work, id, work.at()).await?;
        view.certificate = found.map(|found| CertificateBrief {
            id,
            status: found.status,
            next_attempt_at: found.next_attempt_at,
        });
    }
    Ok(view)
}

/// What a person should look at: a name that is made to be read as another one.
fn warnings(hostname: &Hostname) -> Vec<WarningView> {
    let told = homograph::suspicions(hostname).into_iter();
    told.map(|one| WarningView { code: one.code().to_owned(), detail: one.to_string() }).collect()
}

fn told(kind: &'static str, view: &HostnameView, before: Value, after: Value) -> Event {
    Event {
        kind,
        tenant: Some(view.tenant_id),
        certificate: None,
        subject: view.hostname.clone(),
        data: Value::Object(
            [("before".to_owned(), before), ("after".to_owned(), after)].into_iter().collect(),
        ),
    }
}

/// What DNS is to say: what is to be published, and what leads elsewhere. Nothing where it is not known what leads here.
fn records(hostname: &Hostname, view: &HostnameView, publish: &[IpAddr]) -> Vec<RecordView> {
    let found = |check: Check, outcome: Outcome| {
        view.checks
            .iter()
            .map(|one| &one.finding)
            .filter(move |one| one.check == check && one.outcome == outcome)
    };
    let present: Vec<IpAddr> = found(Check::Dns, Outcome::Passed)
        .flat_map(|finding| finding.observed.split(", ").filter_map(|address| address.parse().ok()))
        .collect();
    let record = |action: &str, address: IpAddr| RecordView {
        action: action.to_owned(),
        r#type: if address.is_ipv4() { "A" } else { "AAAA" }.to_owned(),
        name: hostname.validation_target().to_owned(),
        value: address.to_string(),
    };
    let wanted = publish
        .iter()
        .map(|address| record(if present.contains(address) { "keep" } else { "publish" }, *address));
    let elsewhere = [Check::ProviderAddress, Check::PublicAddress]
        .into_iter()
        .flat_map(|check| found(check, Outcome::Failed))
        .filter_map(|finding| finding.at.as_deref()?.parse().ok())
        .map(|address| record("remove", address));
    let permission = found(Check::Caa, Outcome::Failed)
        .filter_map(|finding| Permission::told_in(&finding.observed))
        .map(|permission| RecordView {
            action: "publish".to_owned(),
            r#type: "CAA".to_owned(),
            name: permission.name.into(),
            value: permission.value.into(),
        });
    wanted.chain(elsewhere).chain(permission).collect()
}
