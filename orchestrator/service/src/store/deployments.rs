//! Deployments: what each server has of each certificate, as its agent tells.

use issuance::deployment::DeploymentState;
use issuance::hexadecimal::hexadecimal;
use issuance::ids::{CertificateId, DeploymentId, TenantId, VersionId};
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgExecutor;
use sqlx::types::Uuid;
use utoipa::ToSchema;

use super::bundles::Audience;
use super::page::{Listing, Page};
use super::viewer::Viewer;
use super::work::Work;
use super::{Store, StoreError, sql_instant};

/// What was seen at one address of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Address and port.
    pub address: String,
    /// The name that was asked for (SNI, RFC 6066 §3).
    pub server_name: String,
    pub at: Timestamp,
    /// SHA-256 of the leaf that was shown, lower-case hexadecimal; absent where none was.
    pub fingerprint_sha256: Option<String>,
    pub not_after: Option<Timestamp>,
    /// Why nothing was shown.
    pub fault: Option<String>,
}

/// What an agent tells of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What is installed, and since when.
    pub installed: Option<(VersionId, Timestamp)>,
    pub fault: Option<String>,
    pub probes: Vec<Probe>,
}

/// What a server has of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeploymentView {
    pub id: DeploymentId,
    pub tenant_id: TenantId,
    pub certificate_id: CertificateId,
    pub external_id: String,
    pub names: Vec<String>,
    /// What the server is called.
    pub target: String,
    /// `deployed`, `not_served` (something else is shown somewhere), or `failed`.
    pub state: String,
    /// A later version has been issued.
    pub stale: bool,
    pub version_id: Option<VersionId>,
    pub current_version_id: Option<VersionId>,
    pub installed_at: Option<Timestamp>,
    /// When what is installed ends.
    pub not_after: Option<Timestamp>,
    pub fault: Option<String>,
    pub probes: Vec<Probe>,
    pub created_at: Timestamp,
    /// When the agent last told of it.
    pub reported_at: Timestamp,
    /// When state or version last became another.
    pub changed_at: Timestamp,
}

/// Which deployments; a field that is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeploymentFilter {
    /// Any of these; none: it does not matter.
    pub states: Vec<DeploymentState>,
    pub stale: Option<bool>,
    pub target: Option<String>,
    pub certificate: Option<CertificateId>,
    /// Whose agent has said nothing since.
    pub reported_before: Option<Timestamp>,
}

/// What telling has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reported {
    /// No such certificate for this audience.
    NoCertificate,
    /// The certificate has no such version.
    NoVersion,
    Kept {
        view: Box<DeploymentView>,
        before: Option<Before>,
    },
}

/// State and version as they were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Before {
    pub state: String,
    pub version_id: Option<VersionId>,
}

/// Keeps what is told, in place of what was told before.
pub async fn report(
    work: &mut Work,
    audience: &Audience,
    certificate: CertificateId,
    target: &str,
    told: &Told,
) -> Result<Reported, StoreError> {
    let (id, now) = (work.mint().uuid(), sql_instant(work.at()));
    let version = told.installed.map(|(version, _)| version.0);
    let found = sqlx::query!(
        r#"select certificates.tenant_id, issued_certificates.fingerprint_sha256 as "fingerprint_sha256?"
           from certificates
           left join issued_certificates
               on issued_certificates.certificate_id = certificates.certificate_id
               and issued_certificates.order_id = $4
           where certificates.certificate_id = $3
               and ($1::uuid is null or certificates.tenant_id = $1)
               and certificates.deleted_at is null
               and certificates.labels @> $2"#,
        audience.viewer.tenant_id(),
        audience.labels(),
        certificate.0,
        version,
    )
    .fetch_optional(work.conn())
    .await
    .map_err(StoreError::of("deployments.report"))?;
    let Some(found) = found else { return Ok(Reported::NoCertificate) };
    if version.is_some() && found.fingerprint_sha256.is_none() {
        return Ok(Reported::NoVersion);
    }
    let installed = found.fingerprint_sha256.map(|bytes| hexadecimal(&bytes));
    let seen: Vec<_> = told.probes.iter().map(|probe| probe.fingerprint_sha256.as_deref()).collect();
    let state = DeploymentState::of(installed.as_deref(), told.fault.is_some(), &seen);
    let before = sqlx::query!(
        "select state, order_id from deployments where certificate_id = $1 and target = $2 for no key update",
        certificate.0,
        target,
    )
    .fetch_optional(work.conn())
    .await
    .map_err(StoreError::of("deployments.report"))?
    .map(|row| Before { state: row.state, version_id: row.order_id.map(VersionId) });
    let kept = sqlx::query_scalar!(
        "insert into deployments (
             deployment_id, tenant_id, certificate_id, target, order_id, installed_at, fault, probes, state,
             created_at, reported_at, changed_at
         )
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $10)
         on conflict (certificate_id, target) do update
         set order_id = excluded.order_id,
             installed_at = excluded.installed_at,
             fault = excluded.fault,
             probes = excluded.probes,
             state = excluded.state,
             reported_at = excluded.reported_at,
             changed_at = case
                 when deployments.state = excluded.state
                     and deployments.order_id is not distinct from excluded.order_id then deployments.changed_at
                 else excluded.changed_at
             end
         returning deployment_id",
        id,
        found.tenant_id,
        certificate.0,
        target,
        version,
        told.installed.map(|(_, at)| sql_instant(at)),
        told.fault,
        serde_json::to_value(&told.probes).unwrap_or_default(),
        state.as_str(),
        now,
    )
    .fetch_one(work.conn())
    .await
    .map_err(StoreError::of("deployments.report"))?;
    let wanted = Wanted { id: Some(kept), ..Wanted::default() };
    let view = select(work.conn(), Viewer::Operator, &wanted, &DeploymentFilter::default()).await?.pop();
    let view = view.ok_or_else(|| StoreError::Inconsistent {
        table: "deployments",
        what: "what was just written is not there".to_owned(),
    })?;
    Ok(Reported::Kept { view: Box::new(view), before })
}

/// Oldest first.
pub async fn list(
    store: &Store,
    viewer: Viewer,
    filter: &DeploymentFilter,
    page: &Page,
) -> Result<Listing<DeploymentView>, StoreError> {
    let wanted = Wanted { after: page.after(), rows: page.rows_to_read(), ..Wanted::default() };
    let found = select(&mut *store.list_as(viewer).await?, viewer, &wanted, filter).await?;
    Ok(page.listing(found, |deployment| deployment.id.0))
}

/// How many there are, by state and whether a later version has been issued.
pub async fn count(store: &Store) -> Result<Vec<(DeploymentState, bool, i64)>, StoreError> {
    let rows = sqlx::query!(
        r#"select deployments.state, count(*) as "count!",
               exists (
                   select 1 from issued_certificates as later
                   join issued_certificates as installed on installed.order_id = deployments.order_id
                   where later.certificate_id = deployments.certificate_id and later.issued_at > installed.issued_at
               ) as "is_stale!"
           from deployments
           group by deployments.state, "is_stale!""#
    )
    .fetch_all(store.pool())
    .await
    .map_err(StoreError::of("deployments.count"))?;
    let counts = rows.into_iter();
    Ok(counts
        .filter_map(|row| Some((DeploymentState::parse(&row.state)?, row.is_stale, row.count)))
        .collect())
}

/// Forgets one: the server is gone. Answers what it was; `None` where there is none for this audience.
pub async fn forget(
    work: &mut Work,
    audience: &Audience,
    certificate: CertificateId,
    target: &str,
) -> Result<Option<DeploymentView>, StoreError> {
    let gone = sqlx::query_scalar!(
        "select deployment_id from deployments
         join certificates using (certificate_id)
         where certificate_id = $3 and target = $4 and certificates.deleted_at is null
             and ($1::uuid is null or deployments.tenant_id = $1)
             and certificates.labels @> $2
         for update of deployments",
        audience.viewer.tenant_id(),
        audience.labels(),
        certificate.0,
        target,
    )
    .fetch_optional(work.conn())
    .await
    .map_err(StoreError::of("deployments.forget"))?;
    let Some(id) = gone else { return Ok(None) };
    let wanted = Wanted { id: Some(id), ..Wanted::default() };
    let found = select(work.conn(), audience.viewer, &wanted, &DeploymentFilter::default()).await?.pop();
    sqlx::query!("delete from deployments where deployment_id = $1", id)
        .execute(work.conn())
        .await
        .map_err(StoreError::of("deployments.forget"))?;
    Ok(found)
}

struct Wanted {
    id: Option<Uuid>,
    after: Option<Uuid>,
    rows: i64,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { id: None, after: None, rows: 1 }
    }
}

async fn select(
    executor: impl PgExecutor<'_>,
    viewer: Viewer,
    wanted: &Wanted,
    filter: &DeploymentFilter,
) -> Result<Vec<DeploymentView>, StoreError> {
    let rows = sqlx::query_file!(
        "queries/deployments_list.sql",
        viewer.tenant_id(),
        wanted.after,
        wanted.rows,
        wanted.id,
        &filter.states.iter().map(|state| state.as_str().to_owned()).collect::<Vec<_>>(),
        filter.stale,
        filter.target,
        filter.certificate.map(|certificate| certificate.0),
        filter.reported_before.map(sql_instant),
    )
    .fetch_all(executor)
    .await
    .map_err(StoreError::of("deployments.list"))?;
    let views = rows.into_iter().map(|row| DeploymentView {
        id: DeploymentId(row.deployment_id),
        tenant_id: TenantId(row.tenant_id),
        certificate_id: CertificateId(row.certificate_id),
        external_id: row.external_id,
        names: row.names,
        target: row.target,
        state: row.state,
        stale: row.is_stale,
        version_id: row.order_id.map(VersionId),
        current_version_id: row.current_order_id.map(VersionId),
        installed_at: row.installed_at.map(Timestamp::from),
        not_after: row.not_after.map(Timestamp::from),
        fault: row.fault,
        probes: probes(row.probes),
        created_at: row.created_at.into(),
        reported_at: row.reported_at.into(),
        changed_at: row.changed_at.into(),
    });
    Ok(views.collect())
}

/// What an earlier release has kept and this one cannot read is not shown.
fn probes(kept: Value) -> Vec<Probe> {
    serde_json::from_value(kept).unwrap_or_default()
}
