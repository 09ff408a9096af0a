//! All that is known of one name: what was seen, what is missing, who must act, and when it goes on.

use issuance::check::{Check, Finding, Outcome, Waived, hindrance};
use issuance::fault::{Actor, FailureClass};
use issuance::identifier::Hostname;
use issuance::ids::{AccountId, CertificateId, OrderId, TenantId};
use issuance::precision::Standing;
use issuance::problem::Problem;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::certificates::CertificateStatus;
use super::check_overrides::{self, CheckOverrideView};
use super::check_records;
use super::faults::FaultView;
use super::viewer::Viewer;
use super::work::Work;
use super::{Store, StoreError, sql_instant};

/// One word for how a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostnameStatus {
    /// A valid certificate has it.
    Active,
    /// Its order goes on by itself.
    Issuing,
    /// A limit of the CA keeps it, and nothing else.
    RateLimited,
    /// A check says that the CA would refuse it.
    NotReady,
    /// The CA has refused it, and it rests.
    Resting,
    /// It was not ready for so long that nobody looks any more.
    Suspended,
    /// The CA has paused it until a person acts.
    PausedAtCa,
    /// The last order ended without a certificate, and none follows.
    Failed,
    /// No certificate is wished for it.
    Unused,
}

impl HostnameStatus {
    pub const ALL: [Self; 9] = [
        Self::Active,
        Self::Issuing,
        Self::RateLimited,
        Self::NotReady,
        Self::Resting,
        Self::Suspended,
        Self::PausedAtCa,
        Self::Failed,
        Self::Unused,
    ];

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Nothing is going to happen within moments: whoever waits is told.
    pub fn is_settled(self) -> bool {
        self != Self::Issuing
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Issuing => "issuing",
            Self::RateLimited => "rate_limited",
            Self::NotReady => "not_ready",
            Self::Resting => "resting",
            Self::Suspended => "suspended",
            Self::PausedAtCa => "paused_at_ca",
            Self::Failed => "failed",
            Self::Unused => "unused",
        }
    }
}

/// One name, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostnameView {
    pub hostname: String,
    pub tenant_id: TenantId,
    /// The tenant's slug.
    pub tenant: String,
    pub status: HostnameStatus,
    /// Who must act. `null`: nobody.
    pub actor: Option<Actor>,
    /// What to do, for `actor`.
    pub to_do: Option<String>,
    pub fault: Option<FaultView>,
    /// `ready`, `not_ready` or `unknown`; `null` where no check has been made.
    pub verdict: Option<String>,
    pub checked_at: Option<Timestamp>,
    /// Somebody wants it checked, and it has not been yet.
    pub check_requested_at: Option<Timestamp>,
    /// What was found, what is to be mended first in front.
    pub checks: Vec<FindingView>,
    /// What DNS is to say.
    pub records: Vec<RecordView>,
    /// The last validation that failed at the CA, in its own words.
    pub ca_problem: Option<CaProblemView>,
    pub certificate_id: Option<CertificateId>,
    /// The certificate that the name is to have, in short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateBrief>,
    /// The name's own; where it has none, its certificate's.
    pub external_id: Option<String>,
    pub labels: Value,
    /// A certificate is kept for it.
    pub auto_certificate: bool,
    /// What a person should look at, though nothing hinders it.
    #[serde(default)]
    pub warnings: Vec<WarningView>,
    /// One up at each change of the wish.
    pub version: i64,
    pub order_id: Option<OrderId>,
    pub stage: Option<String>,
    /// `null` where nothing is going to happen by itself.
    pub next_attempt_at: Option<Timestamp>,
    /// When it is looked at again: as soon as it is seen to be right, the attempt follows.
    pub next_look_at: Option<Timestamp>,
    pub rate_limited_until: Option<Timestamp>,
    pub broken_since: Option<Timestamp>,
    pub suspended_at: Option<Timestamp>,
    /// Failures since the last certificate.
    pub failures: u32,
    pub overrides: Vec<CheckOverrideView>,
    /// The CA has offered to prove it by a record that stays (dns-persist-01): it is used where it
    /// stands, and `lockkeeper dns01 persist` tells what it is to say.
    pub dns_persist_offered_at: Option<Timestamp>,
}

/// A certificate in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateBrief {
    pub id: CertificateId,
    pub status: CertificateStatus,
    pub next_attempt_at: Option<Timestamp>,
}

/// What is odd about a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WarningView {
    pub code: String,
    pub detail: String,
}

/// One finding, with what follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FindingView {
    #[serde(flatten)]
    pub finding: Finding,
    /// What to do about it; `null` where nothing is wrong.
    pub hint: Option<String>,
    /// `blocks`, `advice` (wrong too often to keep anybody back) or `skipped` (for this name).
    pub weight: String,
}

/// One record of the name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordView {
    /// `publish`, `keep` or `remove`.
    pub action: String,
    pub r#type: String,
    pub name: String,
    pub value: String,
}

/// Why a validation failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CaProblemView {
    pub at: Timestamp,
    #[serde(flatten)]
    pub problem: Problem,
}

/// `None`: there is no such name, or not for this viewer.
pub async fn find(
    store: &Store,
    viewer: Viewer,
    account: AccountId,
    hostname: &Hostname,
    now: Timestamp,
) -> Result<Option<HostnameView>, StoreError> {
    let mut conn = store.read_as(viewer).await?;
    explain(&mut conn, viewer, account, hostname, now).await
}

/// The same, as this work sees it.
pub async fn find_in(
    work: &mut Work,
    account: AccountId,
    hostname: &Hostname,
) -> Result<Option<HostnameView>, StoreError> {
    let (viewer, now) = (work.viewer(), work.at());
    explain(work.conn(), viewer, account, hostname, now).await
}

async fn explain(
    conn: &mut PgConnection,
    viewer: Viewer,
    account: AccountId,
    hostname: &Hostname,
    now: Timestamp,
) -> Result<Option<HostnameView>, StoreError> {
    let row = sqlx::query!(
        r#"select hostnames.tenant_id, tenants.slug as tenant, hostnames.external_id, hostnames.labels,
               hostnames.auto_certificate, hostnames.version,
               verdict as "verdict?", checked_at as "checked_at?", wished_at as "wished_at?",
               findings as "findings?", ca_problem as "ca_problem?", ca_problem_at as "ca_problem_at?",
               persist_offered_at as "persist_offered_at?",
               failures as "failures?", at_ca as "at_ca?", blocked_until as "blocked_until?",
               hostname_backoffs.fault_class as "rest_class?", hostname_backoffs.fault_detail as "rest_detail?",
               broken_since as "broken_since?", look_at as "look_at?", suspended_at as "suspended_at?",
               greatest(held_until, gate_closed_until) as "closed_until?"
           from hostnames
           join tenants using (tenant_id)
           left join hostname_checks on hostname_checks.hostname = $2
           left join hostname_backoffs
               on hostname_backoffs.account_id = $3 and hostname_backoffs.hostname = $4
           left join accounts on accounts.account_id = $3
           where hostnames.hostname = $4 and hostnames.releasing_since is null and ($1::uuid is null or hostnames.tenant_id = $1)"#,
        viewer.tenant_id(),
        hostname.as_str(),
        account.0,
        hostname.validation_target()
    )
    .fetch_optional(&mut *conn)
    .await
    .map_err(StoreError::of("explanations.find"))?;
    let Some(row) = row else { return Ok(None) };
    let wished = wished(conn, viewer, hostname, now).await?;
    let overrides = check_overrides::of_name(conn, hostname.as_str(), now).await?;
    let advice = check_records::read(conn, account).await?;
    let advice: Vec<Check> =
        advice.iter().filter(|one| one.standing == Standing::Advice).map(|one| one.check).collect();
    let findings: Vec<Finding> = match row.findings {
        Some(findings) => serde_json::from_value(findings).map_err(|error| StoreError::Inconsistent {
            table: "hostname_checks",
            what: format!("{hostname}: {error}"),
        })?,
        None => Vec::new(),
    };
    let problem: Option<Problem> = row.ca_problem.and_then(|problem| serde_json::from_value(problem).ok());

    let skipped: Vec<Check> = overrides.iter().map(|one| one.check).collect();
    let waived: Waived = skipped.iter().chain(&advice).copied().collect();
    let held_by = hindrance(&findings, &waived);
    let order_fault = wished.as_ref().and_then(|wished| wished.fault.clone());
    let of_this_name =
        order_fault.filter(|fault| fault.hostname.as_deref().is_none_or(|name| name == hostname.as_str()));
    let rests = FaultView::of(row.rest_class.as_deref(), row.rest_detail, Some(hostname.to_string()));
    let fault = rests.or(of_this_name);
    let is_future = |at: &Timestamp| *at > now;
    let closed_until = row.closed_until.map(Timestamp::from).filter(is_future);
    let stage = wished.as_ref().and_then(|one| one.stage.clone());
    let due_at = wished.as_ref().and_then(|one| one.due_at);
    // While a worker has it, it is due when that one's lease ends: no limit keeps it.
    let waits =
        wished.as_ref().is_some_and(|one| !one.is_in_hand && one.stage.as_deref() == Some("accepted"));
    let rate_limited_until = if waits { due_at.filter(is_future).max(closed_until) } else { None };
    let suspended_at = row.suspended_at.map(Timestamp::from);
    let status = status(&Standpoint {
        wished: wished.as_ref(),
        suspended: suspended_at.is_some(),
        limited: rate_limited_until.is_some(),
        class: fault.as_ref().map(|fault| fault.class),
        at_ca: row.at_ca == Some(true),
    });
    let stands_still = !matches!(status, HostnameStatus::Active | HostnameStatus::Issuing);
    let (actor, to_do) = match (held_by.map(|finding| to_blame(finding, &findings, &waived)), &fault) {
        _ if !stands_still => (None, None),
        // What the provider's own servers do is nothing the tenant can mend.
        (Some(finding), _) if finding.check == Check::Nodes => {
            let node = finding.at.as_deref().unwrap_or_default();
            (Some(Actor::Operator), Some(format!("mend the node {node}: {}", finding.observed)))
        }
        (Some(Finding { class: Some(class), .. }), _) => {
            (Some(class.actor()), Some(class.advice().to_owned()))
        }
        (_, Some(fault)) => (Some(fault.actor), Some(fault.advice.clone())),
        _ => (None, None),
    };
    let checks = findings.into_iter().map(|finding| explained(finding, &skipped, &advice)).collect();
    let watched = suspended_at.is_none();
    Ok(Some(HostnameView {
        hostname: hostname.to_string(),
        tenant_id: TenantId(row.tenant_id),
        tenant: row.tenant,
        status,
        actor: actor.filter(|actor| *actor != Actor::Nobody),
        to_do,
        fault: fault.filter(|_| stands_still),
        verdict: row.verdict,
        checked_at: row.checked_at.map(Timestamp::from),
        check_requested_at: row.wished_at.map(Timestamp::from),
        checks,
        records: Vec::new(),
        ca_problem: problem
            .zip(row.ca_problem_at)
            .map(|(problem, at)| CaProblemView { at: at.into(), problem }),
        next_attempt_at: due_at.filter(|_| watched),
        next_look_at: row.look_at.map(Timestamp::from).filter(|_| watched && stands_still),
        rate_limited_until,
        broken_since: row.broken_since.map(Timestamp::from),
        suspended_at,
        failures: row.failures.and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
        overrides,
        dns_persist_offered_at: row.persist_offered_at.map(Timestamp::from),
        certificate_id: wished.as_ref().map(|one| one.certificate),
        order_id: wished.as_ref().and_then(|one| one.order),
        certificate: None,
        external_id: row.external_id.or_else(|| wished.map(|one| one.external_id)),
        labels: row.labels,
        auto_certificate: row.auto_certificate,
        warnings: Vec::new(),
        version: row.version,
        stage,
    }))
}

/// The certificate that is wished for the name, with the order that is to bring it.
struct Wished {
    certificate: CertificateId,
    external_id: String,
    order: Option<OrderId>,
    stage: Option<String>,
    due_at: Option<Timestamp>,
    /// A worker has its order.
    is_in_hand: bool,
    fault: Option<FaultView>,
    /// A valid certificate has the name.
    is_certified: bool,
}

/// One that does not stand well before one that does.
async fn wished(
    conn: &mut PgConnection,
    viewer: Viewer,
    hostname: &Hostname,
    now: Timestamp,
) -> Result<Option<Wished>, StoreError> {
    let row = sqlx::query_file!(
        "queries/explanations_order.sql",
        hostname.as_str(),
        sql_instant(now),
        viewer.tenant_id()
    )
    .fetch_optional(conn)
    .await
    .map_err(StoreError::of("explanations.order"))?;
    Ok(row.map(|row| Wished {
        certificate: CertificateId(row.certificate_id),
        external_id: row.external_id,
        order: row.order_id.map(OrderId),
        stage: row.stage,
        due_at: row.due_at.map(Timestamp::from),
        is_in_hand: row.is_in_hand,
        fault: FaultView::of(row.fault_class.as_deref(), row.fault_detail, row.fault_hostname),
        is_certified: row.is_certified,
    }))
}

/// What the word for a name is found from.
struct Standpoint<'a> {
    wished: Option<&'a Wished>,
    suspended: bool,
    limited: bool,
    class: Option<FailureClass>,
    at_ca: bool,
}

fn status(of: &Standpoint<'_>) -> HostnameStatus {
    let Some(wished) = of.wished else { return HostnameStatus::Unused };
    if of.suspended {
        return HostnameStatus::Suspended;
    }
    if of.class == Some(FailureClass::PausedAtCa) {
        return HostnameStatus::PausedAtCa;
    }
    match wished.stage.as_deref() {
        // The others of its order wait for another name.
        Some("parked") => match of.class {
            Some(_) if of.at_ca => HostnameStatus::Resting,
            Some(_) => HostnameStatus::NotReady,
            None if wished.is_certified => HostnameStatus::Active,
            None => HostnameStatus::Issuing,
        },
        Some("failed" | "cancelled") => HostnameStatus::Failed,
        _ if wished.is_certified => HostnameStatus::Active,
        _ if of.limited => HostnameStatus::RateLimited,
        _ => HostnameStatus::Issuing,
    }
}

/// An address that answers wrongly does so through one of the servers behind it, where one of those does.
fn to_blame<'a>(held_by: &'a Finding, findings: &'a [Finding], waived: &Waived) -> &'a Finding {
    let of_a_server = matches!(
        held_by.check,
        Check::Connection | Check::Redirect | Check::Tls | Check::Response | Check::Nodes
    );
    let node = findings.iter().find(|one| {
        one.check == Check::Nodes && one.outcome == Outcome::Failed && !waived.contains(one.check)
    });
    node.filter(|_| of_a_server).unwrap_or(held_by)
}

fn explained(finding: Finding, skipped: &[Check], advice: &[Check]) -> FindingView {
    let weight = match finding.check {
        check if skipped.contains(&check) => "skipped",
        check if advice.contains(&check) => "advice",
        _ => "blocks",
    };
    let hint =
        finding.class.filter(|_| finding.outcome == Outcome::Failed).map(|class| match finding.check {
            Check::Nodes => {
                "mend this node: it answers otherwise than the CA needs, and the CA may meet it".to_owned()
            }
            _ => class.advice().to_owned(),
        });
    FindingView { finding, hint, weight: weight.to_owned() }
}
