//! Certificates: what tenants wish for, and how far each wish has come.

use std::collections::BTreeMap;

use issuance::fault::{Actor, FailureClass};
use issuance::identifier::Hostname;
use issuance::ids::{CertificateId, OrderId, TenantId};
use issuance::renewal::Basis;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Uuid;
use sqlx::types::time::OffsetDateTime;
use utoipa::ToSchema;

use super::candidates::{self, Listed, Part};
use super::faults::FaultView;
use super::order_problems::CaDocument;
use super::page::{Listing, Page};
use super::viewer::Viewer;
use super::work::Work;
use super::{Store, StoreError, sql_instant};

/// One word for how a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertificateStatus {
    /// Its order waits to be begun.
    Pending,
    /// Its order is on its way.
    Issuing,
    /// A certificate for exactly these names is valid.
    Active,
    /// There is one, but it has run out, or its successor does not come.
    Attention,
    /// The last order ended without a certificate.
    Failed,
    /// A name is not ready; it is looked at again.
    Parked,
    /// Its owner wishes that nothing is ordered for it.
    Paused,
    /// The CA has revoked the latest one, at its owner's wish.
    Revoked,
}

impl CertificateStatus {
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Issuing,
        Self::Active,
        Self::Attention,
        Self::Failed,
        Self::Parked,
        Self::Paused,
        Self::Revoked,
    ];

    /// Nothing is going to happen within moments: whoever waits is told.
    pub fn is_settled(self) -> bool {
        !matches!(self, Self::Pending | Self::Issuing)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Issuing => "issuing",
            Self::Active => "active",
            Self::Attention => "attention",
            Self::Failed => "failed",
            Self::Parked => "parked",
            Self::Paused => "paused",
            Self::Revoked => "revoked",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A certificate as its tenant sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CertificateView {
    pub id: CertificateId,
    pub tenant_id: TenantId,
    /// The tenant's slug.
    pub tenant: String,
    pub external_id: String,
    pub names: Vec<String>,
    pub challenge: String,
    pub labels: Value,
    pub status: CertificateStatus,
    pub key: KeyView,
    /// It is renewed by itself.
    pub auto_renew: bool,
    pub paused_at: Option<Timestamp>,
    /// The latest one issued, valid or not.
    pub current: Option<IssuedView>,
    /// When and how that one is renewed. `None` for a moment after it was issued.
    pub renewal: Option<RenewalView>,
    /// The latest order, and where it stands.
    pub order_id: Option<OrderId>,
    pub stage: Option<String>,
    pub last_fault: Option<FaultView>,
    /// Attempts that failed since the last success.
    pub attempts: u32,
    /// What went wrong last, in the CA's words too; a list leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// `None` where nothing is going to happen by itself.
    pub next_attempt_at: Option<Timestamp>,
    /// A limit of the CA keeps it until then, and nothing else does.
    pub rate_limited_until: Option<Timestamp>,
    /// Where it stands in line; a list leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueView>,
    pub revocation: Option<RevocationView>,
    pub created_at: Timestamp,
    pub updated_at: Option<Timestamp>,
    /// One up at each change of the wish.
    pub version: i64,
}

/// Whose key it is, and how long it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyView {
    /// `null`: as the service is set up to make them; of a certificate whose owner keeps the key, what was sent.
    pub r#type: Option<String>,
    /// The owner keeps the key and has sent a certificate request.
    pub kept_by_owner: bool,
    /// When that request came.
    pub csr_received_at: Option<Timestamp>,
    /// A renewal keeps the key.
    pub reuse: bool,
    /// For so many days at the most.
    pub days_max: Option<i32>,
    /// The next order takes a new request.
    pub needs_csr: bool,
}

/// What the owner wishes to be revoked, and whether it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevocationView {
    /// RFC 5280 §5.3.1.
    pub reason: i16,
    pub requested_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

/// What went wrong last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastError {
    /// The failure class.
    #[schema(value_type = String)]
    pub class: FailureClass,
    pub summary: String,
    /// The name it is about.
    pub identifier: Option<String>,
    /// Who can mend it: `tenant`, `operator` or `nobody`.
    #[schema(value_type = String)]
    pub actor: Actor,
    /// What to do.
    pub advice: String,
    /// The CA's document, where it was the CA that said so.
    pub acme: Option<CaDocument>,
    pub first_seen: Option<Timestamp>,
    pub last_seen: Option<Timestamp>,
    pub count: Option<u32>,
}

/// How far from its turn an order is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueView {
    /// Orders whose turn is before this one's.
    pub ahead: u32,
    /// There are more than that.
    pub ahead_at_least: bool,
    /// When its turn is likely to come, by what the CA lets through; `null` where that is not known.
    pub expected_at: Option<Timestamp>,
}

/// What the CA has signed; never its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IssuedView {
    pub serial: String,
    pub issuer: String,
    /// SHA-256 of the leaf, lower-case hexadecimal.
    pub fingerprint_sha256: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub issued_at: Timestamp,
}

/// How a certificate is renewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RenewalView {
    /// Drawn once in the window, or by the lifetime.
    pub renew_at: Timestamp,
    /// `renewal_info` (the CA has told a window) or `lifetime`.
    pub basis: String,
    /// When the CA wants it renewed (RFC 9773 §4.2), as it last said; its end is not part of it.
    pub window: Option<WindowView>,
    /// A page of the CA's that tells why it wants that.
    pub explanation_url: Option<String>,
    /// An order is on its way; until it brings a certificate, the current one stays.
    pub renewing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WindowView {
    pub start: Timestamp,
    pub end: Timestamp,
}

/// Which certificates; a field that is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateFilter {
    pub status: Option<CertificateStatus>,
    /// A tenant's slug.
    pub tenant: Option<String>,
    pub external_id: Option<String>,
    pub hostname: Option<Hostname>,
    /// All of these it has.
    pub labels: Option<BTreeMap<String, String>>,
    pub failure_class: Option<FailureClass>,
    pub not_after_lt: Option<Timestamp>,
}

pub async fn list(
    store: &Store,
    viewer: Viewer,
    now: Timestamp,
    filter: &CertificateFilter,
    page: &Page,
) -> Result<Listing<CertificateView>, StoreError> {
    let mut conn = store.list_as(viewer).await?;
    let found =
        candidates::list(&Asked { viewer, now, filter }, &mut conn, page.after(), page.rows_to_read())
            .await?;
    Ok(page.listing(found, |certificate| certificate.id.0))
}

/// What is asked for, by whom, and when.
struct Asked<'a> {
    viewer: Viewer,
    now: Timestamp,
    filter: &'a CertificateFilter,
}

impl Listed for Asked<'_> {
    type Key = Uuid;
    type Row = CertificateView;

    async fn candidates(
        &self,
        conn: &mut PgConnection,
        after: Option<&Uuid>,
    ) -> Result<Option<Vec<Uuid>>, StoreError> {
        let after = after.copied();
        if let Some(hostname) = &self.filter.hostname {
            return candidates::named(conn, hostname, after).await.map(Some);
        }
        // Those of one tenant are few, and have an index of their own.
        if self.viewer.tenant_id().is_some() || self.filter.tenant.is_some() {
            return Ok(None);
        }
        candidates::certificates(conn, self.now, self.filter, after).await
    }

    async fn select(
        &self,
        conn: &mut PgConnection,
        part: Part<'_, Uuid>,
        rows: i64,
    ) -> Result<Vec<CertificateView>, StoreError> {
        select(conn, self.viewer, self.now, None, part, self.filter, rows).await
    }
}

/// `None` where it does not exist, or not for this viewer.
pub async fn find(
    store: &Store,
    viewer: Viewer,
    now: Timestamp,
    id: CertificateId,
) -> Result<Option<CertificateView>, StoreError> {
    find_on(&mut *store.read_as(viewer).await?, viewer, now, id).await
}

/// The same, in the middle of a change.
pub async fn find_within(
    work: &mut Work,
    id: CertificateId,
    now: Timestamp,
) -> Result<Option<CertificateView>, StoreError> {
    let viewer = work.viewer();
    find_on(work.conn(), viewer, now, id).await
}

async fn find_on(
    conn: &mut PgConnection,
    viewer: Viewer,
    now: Timestamp,
    id: CertificateId,
) -> Result<Option<CertificateView>, StoreError> {
    let found =
        select(conn, viewer, now, Some(id.0), Part::After(None), &CertificateFilter::default(), 1).await?;
    Ok(found.into_iter().next())
}

async fn select(
    conn: &mut PgConnection,
    viewer: Viewer,
    now: Timestamp,
    id: Option<Uuid>,
    part: Part<'_, Uuid>,
    filter: &CertificateFilter,
    rows: i64,
) -> Result<Vec<CertificateView>, StoreError> {
    let (after, among) = match part {
        Part::After(after) => (after.copied(), None),
        Part::Among(ids) => (None, Some(ids)),
    };
    let found = sqlx::query_file!(
        "queries/certificates_list.sql",
        viewer.tenant_id(),
        sql_instant(now),
        after,
        rows,
        id,
        filter.tenant.as_deref(),
        filter.external_id.as_deref(),
        filter.hostname.as_ref().map(Hostname::as_str),
        filter.status.map(CertificateStatus::as_str),
        filter.labels.as_ref().map(|labels| serde_json::json!(labels)) as Option<Value>,
        filter.failure_class.map(FailureClass::as_str),
        filter.not_after_lt.map(sql_instant) as Option<OffsetDateTime>,
        among as Option<&[Uuid]>,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::of("certificates.list"))?;
    found
        .into_iter()
        .map(|row| {
            let status = CertificateStatus::parse(&row.status).ok_or_else(|| StoreError::Inconsistent {
                table: "certificates",
                what: format!("{} is no status", row.status),
            })?;
            let current = row.serial.zip(row.issuer).zip(row.fingerprint_sha256);
            let validity = row.not_before.zip(row.not_after).zip(row.issued_at);
            Ok(CertificateView {
                id: CertificateId(row.certificate_id),
                tenant_id: TenantId(row.tenant_id),
                tenant: row.tenant,
                external_id: row.external_id,
                names: row.names,
                challenge: row.challenge,
                labels: row.labels,
                status,
                current: current.zip(validity).map(|(((serial, issuer), print), ((from, to), at))| {
                    IssuedView {
                        serial,
                        issuer,
                        fingerprint_sha256: hexadecimal(&print),
                        not_before: from.into(),
                        not_after: to.into(),
                        issued_at: at.into(),
                    }
                }),
                renewal: row.renew_at.map(|renew_at| {
                    let window = row.window_start.zip(row.window_end);
                    let basis = if window.is_some() { Basis::RenewalInfo } else { Basis::Lifetime };
                    RenewalView {
                        renew_at: renew_at.into(),
                        basis: basis.as_str().to_owned(),
                        window: window
                            .map(|(start, end)| WindowView { start: start.into(), end: end.into() }),
                        explanation_url: row.explanation_url,
                        renewing: row.is_renewing,
                    }
                }),
                order_id: row.order_id.map(OrderId),
                stage: row.stage,
                last_fault: FaultView::of(row.fault_class.as_deref(), row.fault_detail, row.fault_hostname),
                attempts: row.failures.and_then(|failures| u32::try_from(failures).ok()).unwrap_or(0),
                last_error: None,
                // A paused one is due in a time that never comes.
                next_attempt_at: row.due_at.filter(|_| row.paused_at.is_none()).map(Timestamp::from),
                rate_limited_until: row.limited_until.map(Timestamp::from).filter(|until| *until > now),
                queue: None,
                revocation: row.revocation_requested_at.zip(row.revocation_reason).map(|(at, reason)| {
                    let revoked_at = row.revoked_at.map(Timestamp::from);
                    RevocationView { reason, requested_at: at.into(), revoked_at }
                }),
                key: KeyView {
                    r#type: row.key_type,
                    kept_by_owner: row.csr_received_at.is_some(),
                    csr_received_at: row.csr_received_at.map(Timestamp::from),
                    reuse: row.reuse_key,
                    days_max: row.key_days_max,
                    needs_csr: row.needs_request,
                },
                auto_renew: row.auto_renew,
                paused_at: row.paused_at.map(Timestamp::from),
                created_at: row.created_at.into(),
                updated_at: row.updated_at.map(Timestamp::from),
                version: row.version,
            })
        })
        .collect()
}

/// The chain of the latest one issued, leaf first. The outer `None`: no such certificate for this viewer;
/// the inner: none has been issued yet.
pub async fn chain(
    store: &Store,
    viewer: Viewer,
    id: CertificateId,
) -> Result<Option<Option<String>>, StoreError> {
    let mut conn = store.read_as(viewer).await?;
    let found = sqlx::query!(
        r#"select issued_certificates.chain_pem as "chain_pem?"
           from certificates
           left join issued_certificates using (certificate_id)
           where certificates.certificate_id = $2 and certificates.deleted_at is null and ($1::uuid is null or certificates.tenant_id = $1)
           order by issued_certificates.issued_at desc
           limit 1"#,
        viewer.tenant_id(),
        id.0,
    )
    .fetch_optional(&mut *conn)
    .await
    .map_err(StoreError::of("certificates.chain"))?;
    Ok(found.map(|row| row.chain_pem))
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}
