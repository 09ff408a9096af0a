//! `POST /v1/certificates` and `POST /v1/certificates/batch`

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use issuance::fairness::Lane;
use issuance::key_kind::KeyKind;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::waited;
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::etag::Etag;
use crate::api::prefer::Wait;
use crate::api::problem::{ItemProblem, Problem, ProblemEntry, Problems};
use crate::api::wanted::{Faults, WantedChallenge, WantedKey};
use crate::api::write::{Answer, WriteRequest, or_answered};
use crate::store::certificate_wishes::{self, NewCertificate, Refusal};
use crate::store::certificates::CertificateView;
use crate::store::claims::{self, Owner};
use crate::store::events::Event;
use crate::store::scope::Scope;
use crate::store::work::Work;
use issuance::ids::CertificateId;

const BATCH_MAX: usize = 200;

/// A certificate that is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedCertificate {
    /// The tenant's slug: for the operator, whose key is nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Your own id of it, unique among the tenant's certificates; absent: its id here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// With a `csr` they may be left out: they are the request's then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Absent: `http-01`, or `dns-01` with a wildcard.
    #[serde(
        default,
        deserialize_with = "crate::json::optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub challenge: Option<WantedChallenge>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
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
    /// A certificate request in PEM, of whoever keeps the key: the order is finalized with exactly this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csr: Option<String>,
    /// Absent: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_renew: Option<bool>,
    /// `interactive` (a person waits) or `bulk`; absent: `interactive`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<WantedLane>,
}

/// How it is queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WantedLane {
    #[default]
    Interactive,
    Bulk,
}

impl WantedLane {
    pub(in crate::api) fn lane(self) -> Lane {
        match self {
            Self::Interactive => Lane::Interactive,
            Self::Bulk => Lane::Bulk,
        }
    }
}

/// Orders a certificate. `Prefer: wait=N` holds the answer until it is there, or until it is known why not.
#[utoipa::path(
    post,
    path = "/v1/certificates",
    tag = "certificates",
    params(
        ("Idempotency-Key" = String, Header, description = "A string of your own for this request: it is carried out once"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: hold the answer for up to N seconds (30 at the most)")
    ),
    request_body = WantedCertificate,
    security(("bearer" = ["certificates:write"])),
    responses(
        (status = 201, description = "It was waited for, and is there or told why not", body = CertificateView),
        (status = 202, description = "It is on its way", body = CertificateView),
        Problems
    )
)]
#[tracing::instrument(name = "api.certificates.create", skip_all)]
pub(in crate::api) async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::CertificatesWrite)?;
    request.require_idempotency_key()?;
    let wanted: WantedCertificate = request.json()?;
    let judged = Judged::of(&wanted)?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let id = judged.make(&api, &mut write.work, &wanted).await?;
    let view = super::within(&api, &mut write.work, id).await?;
    let tag = Etag::of(view.version, &view);
    let location = format!("/v1/certificates/{id}");
    let answer = Answer::accepted(&view, location).with_etag(tag.as_str());
    let response = write.finish(answer).await?;
    api.wake.notify_one();
    match Wait::of(&request.headers) {
        None => Ok(response),
        Some(wait) => waited(&api, caller.viewer, id, wait, StatusCode::CREATED).await,
    }
}

/// Certificates that are to be, each judged by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedBatch {
    /// 200 at the most.
    #[serde(deserialize_with = "crate::json::objects")]
    pub items: Vec<WantedCertificate>,
}

/// What became of each, in the order in which they were asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct BatchReport {
    pub created: usize,
    pub refused: usize,
    pub data: Vec<BatchItem>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct BatchItem {
    /// 202, or the status of the problem.
    pub status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<CertificateId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<ItemProblem>,
}

/// Orders up to 200 certificates. What is wrong with one is no matter of the others.
#[utoipa::path(
    post,
    path = "/v1/certificates/batch",
    tag = "certificates",
    params(("Idempotency-Key" = String, Header, description = "A string of your own for this request: it is carried out once")),
    request_body = WantedBatch,
    security(("bearer" = ["certificates:write"])),
    responses((status = 200, description = "What became of each", body = BatchReport), Problems)
)]
#[tracing::instrument(name = "api.certificates.batch", skip_all)]
pub(in crate::api) async fn batch(
    State(api): State<ApiState>,
    caller: Caller,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::CertificatesWrite)?;
    request.require_idempotency_key()?;
    let wanted: WantedBatch = request.json()?;
    if !(1..=BATCH_MAX).contains(&wanted.items.len()) {
        let detail = format!("a batch has 1 to {BATCH_MAX} items: import a file for more");
        return Err(Problem::body_invalid(vec![ProblemEntry::at("/items", "out-of-range", detail)]));
    }
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let mut data = Vec::with_capacity(wanted.items.len());
    // Tenants are held in one order by everybody, so that two batches never wait in a circle.
    let mut tenants: Vec<Option<&str>> = wanted.items.iter().map(|one| one.tenant.as_deref()).collect();
    tenants.sort_unstable();
    tenants.dedup();
    for tenant in tenants {
        let mut faults = Faults::default();
        faults.slug(tenant);
        if faults.end().is_ok() {
            claims::owner(&mut write.work, tenant).await?;
        }
    }
    for one in &wanted.items {
        let made = match Judged::of(one) {
            Ok(judged) => judged.make(&api, &mut write.work, one).await,
            Err(problem) => Err(problem),
        };
        data.push(match made {
            Ok(id) => BatchItem { status: StatusCode::ACCEPTED.as_u16(), id: Some(id), problem: None },
            // The transaction is of no use any more.
            Err(problem) if problem.is_ours() => return Err(problem),
            Err(problem) => {
                let told = problem.told();
                BatchItem { status: told.status, id: None, problem: Some(told) }
            }
        });
    }
    let created = data.iter().filter(|item| item.id.is_some()).count();
    let report = BatchReport { created, refused: data.len() - created, data };
    let response = write.finish(Answer::ok(&report)).await?;
    api.wake.notify_one();
    Ok(response.into_response())
}

/// What can be known of a wish without looking at anything.
struct Judged {
    names: issuance::identifier::Identifiers,
    method: issuance::authorization::ValidationMethod,
    key: certificate_wishes::KeyWish,
}

impl Judged {
    fn of(wanted: &WantedCertificate) -> Result<Self, Problem> {
        let mut faults = Faults::default();
        faults.slug(wanted.tenant.as_deref());
        faults.external_id(wanted.external_id.as_deref());
        faults.labels(&wanted.labels);
        let of_request = wanted.names.is_empty() && wanted.csr.is_some();
        let named = if of_request { None } else { faults.names("/names", &wanted.names) };
        let key = WantedKey {
            kind: wanted.key_type,
            reuse: wanted.reuse_key,
            days_max: wanted.key_days_max,
            csr: wanted.csr.clone(),
        };
        // Whether the request fits names that cannot be read is no question.
        let key = if named.is_some() || of_request { faults.key(&key, named.as_ref()) } else { None };
        let (key, requested) = key.map_or((None, None), |(key, names)| (Some(key), names));
        let names = named.or(requested);
        let method = faults.method(wanted.challenge.as_ref(), names.as_ref());
        faults.end()?;
        match (names, method, key) {
            (Some(names), Some(method), Some(key)) => Ok(Self { names, method, key }),
            _ => Err(Problem::body_invalid(Vec::new())),
        }
    }

    async fn make(
        self,
        api: &ApiState,
        work: &mut Work,
        wanted: &WantedCertificate,
    ) -> Result<CertificateId, Problem> {
        let tenant = super::tenant(work, wanted.tenant.as_deref()).await?;
        let new = NewCertificate {
            tenant,
            account: api.account,
            external_id: wanted.external_id.as_deref(),
            names: &self.names,
            method: self.method,
            labels: &wanted.labels,
            key: self.key,
            auto_renew: wanted.auto_renew.unwrap_or(true),
            lane: wanted.lane.unwrap_or_default().lane(),
        };
        let id = certificate_wishes::create(work, &new).await?.map_err(refused)?;
        let locked = certificate_wishes::lock(work, id).await?;
        work.tell(Event {
            kind: "certificate.created",
            tenant: Some(tenant),
            certificate: Some(id),
            subject: id.to_string(),
            data: json!({ "after": locked.map(|locked| locked.told()) }),
        })
        .await?;
        Ok(id)
    }
}

pub(in crate::api) fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::HostnameOwnedByOtherTenant(name) => Problem::hostname_owned(name.as_str()),
        Refusal::ExternalIdTaken(by) => Problem::external_id_taken(&by.to_string()),
        Refusal::Excess(excess) => Problem::excess(&excess),
    }
}

/// Whom the request is for.
pub(in crate::api) fn owned(owner: &Owner) -> Result<issuance::ids::TenantId, Problem> {
    let wrong = |code, detail| Problem::body_invalid(vec![ProblemEntry::at("/tenant", code, detail)]);
    match owner {
        Owner::Tenant { id, .. } => Ok(*id),
        Owner::Unnamed => Err(wrong("missing", "say whose it is to be: the operator's key is nobody's")),
        Owner::Other => Err(wrong("other_tenant", "this key is another tenant's: leave the tenant out")),
    }
}
