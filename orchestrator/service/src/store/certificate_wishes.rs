//! Certificates as their owners wish them over the API: made, changed, and what of it is told.

use std::collections::BTreeMap;

use issuance::authorization::ValidationMethod;
use issuance::fairness::Lane;
use issuance::identifier::{Hostname, Identifiers};
use issuance::ids::{AccountId, CertificateId, OrderId, TenantId};
use issuance::key_kind::KeyKind;
use issuance::time::Timestamp;
use serde_json::{Value, json};
use sqlx::types::Uuid;
use sqlx::types::time::OffsetDateTime;

use super::claims::Hindrance;
use super::quotas::Excess;
use super::work::Work;
use super::{StoreError, claims, order_ends, queueing, sql_instant};

/// Whose key it is, and for how long.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyWish {
    /// `None`: as the service is set up to make them.
    pub kind: Option<KeyKind>,
    /// A renewal keeps the key.
    pub reuse: bool,
    /// No longer than this.
    pub days_max: Option<u16>,
    /// The request of a tenant who keeps the key, in DER.
    pub csr_der: Option<Vec<u8>>,
}

impl std::fmt::Debug for KeyWish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyWish")
            .field("kind", &self.kind)
            .field("reuse", &self.reuse)
            .finish_non_exhaustive()
    }
}

/// A certificate that is to be.
#[derive(Debug, Clone)]
pub struct NewCertificate<'a> {
    pub tenant: TenantId,
    pub account: AccountId,
    /// `None`: its own id.
    pub external_id: Option<&'a str>,
    pub names: &'a Identifiers,
    pub method: ValidationMethod,
    pub labels: &'a BTreeMap<String, String>,
    pub key: KeyWish,
    pub auto_renew: bool,
    pub lane: Lane,
}

/// Why a wish is not granted. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Somebody else has the name.
    HostnameOwnedByOtherTenant(Hostname),
    /// Another certificate of the tenant goes by that external id.
    ExternalIdTaken(CertificateId),
    /// A quota of the tenant does not allow it.
    Excess(Excess),
}

impl From<Hindrance> for Refusal {
    fn from(hindrance: Hindrance) -> Self {
        match hindrance {
            Hindrance::Foreign(name) => Self::HostnameOwnedByOtherTenant(name),
            Hindrance::Excess(excess) => Self::Excess(excess),
        }
    }
}

/// What is to be different; a field that is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    pub external_id: Option<String>,
    pub names: Option<Identifiers>,
    pub method: Option<ValidationMethod>,
    pub labels: Option<BTreeMap<String, String>>,
    pub key: Option<KeyWish>,
    /// The request is another one: what it is for is ordered at once.
    pub orders_anew: bool,
    pub auto_renew: Option<bool>,
}

/// A certificate that is about to be changed: nobody else changes it meanwhile.
#[derive(Debug, Clone)]
pub struct Locked {
    pub id: CertificateId,
    pub tenant: TenantId,
    pub account: AccountId,
    pub external_id: String,
    pub names: Vec<String>,
    pub challenge: String,
    pub labels: Value,
    pub key_type: Option<String>,
    pub reuse_key: bool,
    pub key_days_max: Option<i32>,
    pub csr_der: Option<Vec<u8>>,
    pub csr_received_at: Option<Timestamp>,
    pub auto_renew: bool,
    pub paused_at: Option<Timestamp>,
    /// Its last name has gone to another tenant: nothing is ordered for it, until it is wished for again.
    pub is_given_up: bool,
    pub version: i64,
}

impl Locked {
    /// What the audit tells of it.
    pub fn told(&self) -> Value {
        json!({
            "external_id": self.external_id,
            "names": self.names,
            "challenge": self.challenge,
            "labels": self.labels,
            "key_type": self.key_type,
            "reuse_key": self.reuse_key,
            "key_days_max": self.key_days_max,
            "csr_received_at": self.csr_received_at,
            "auto_renew": self.auto_renew,
            "paused_at": self.paused_at,
        })
    }

    pub fn key(&self) -> KeyWish {
        KeyWish {
            kind: self.key_type.as_deref().and_then(KeyKind::parse),
            reuse: self.reuse_key,
            days_max: self.key_days_max.and_then(|days| u16::try_from(days).ok()),
            csr_der: self.csr_der.clone(),
        }
    }

    pub fn identifiers(&self) -> Result<Identifiers, StoreError> {
        let nonsense = |what: String| StoreError::Inconsistent { table: "certificates", what };
        let names: Result<Vec<Hostname>, _> = self.names.iter().map(|name| Hostname::parse(name)).collect();
        Identifiers::new(names.map_err(|error| nonsense(error.to_string()))?)
            .map_err(|error| nonsense(error.to_string()))
    }
}

/// Makes a certificate and the order that is to bring it. The tenant is held by this work.
pub async fn create(
    work: &mut Work,
    new: &NewCertificate<'_>,
) -> Result<Result<CertificateId, Refusal>, StoreError> {
    let now = work.at();
    let id = CertificateId(work.mint().uuid());
    let own = id.to_string();
    let external_id = new.external_id.unwrap_or(&own);
    if let Some(taken) = named(work, new.tenant, external_id).await? {
        return Ok(Err(Refusal::ExternalIdTaken(taken)));
    }
    if let Err(hindrance) = claims::claim(work, new.tenant, new.names, new.method, 1).await? {
        return Ok(Err(hindrance.into()));
    }
    let names = spelt(new.names);
    let csr_received_at = new.key.csr_der.as_ref().map(|_| sql_instant(now));
    sqlx::query!(
        "insert into certificates (
             certificate_id, tenant_id, account_id, external_id, names, challenge, labels, key_type, reuse_key, key_days_max,
             csr_der, csr_received_at, auto_renew, created_at
         )
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        id.0,
        new.tenant.0,
        new.account.0,
        external_id,
        &names,
        new.method.as_str(),
        json!(new.labels),
        new.key.kind.map(KeyKind::as_str),
        new.key.reuse,
        new.key.days_max.map(i32::from),
        new.key.csr_der.as_deref(),
        csr_received_at as Option<OffsetDateTime>,
        new.auto_renew,
        sql_instant(now),
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("certificates.create"))?;
    queueing::queue(work, new.account, new.lane, id, new.tenant).await?;
    Ok(Ok(id))
}

/// The certificate of the tenant that goes by an external id.
pub async fn named(
    work: &mut Work,
    tenant: TenantId,
    external_id: &str,
) -> Result<Option<CertificateId>, StoreError> {
    let found = sqlx::query_scalar!(
        "select certificate_id from certificates where tenant_id = $1 and external_id = $2 and deleted_at is null",
        tenant.0,
        external_id
    )
    .fetch_optional(work.conn())
    .await
    .map_err(StoreError::of("certificates.named"))?;
    Ok(found.map(CertificateId))
}

/// `None` where it does not exist, or not for this viewer.
pub async fn lock(work: &mut Work, id: CertificateId) -> Result<Option<Locked>, StoreError> {
    let viewer = work.viewer();
    let row = sqlx::query!(
        "select tenant_id, account_id, external_id, names, challenge, labels, key_type, reuse_key, key_days_max, csr_der,
             csr_received_at, auto_renew, paused_at, given_up_at, version
         from certificates
         where certificate_id = $1 and deleted_at is null and ($2::uuid is null or tenant_id = $2)
         for no key update",
        id.0,
        viewer.tenant_id()
    )
    .fetch_optional(work.conn())
    .await
    .map_err(StoreError::of("certificates.lock"))?;
    Ok(row.map(|row| Locked {
        id,
        tenant: TenantId(row.tenant_id),
        account: AccountId(row.account_id),
        external_id: row.external_id,
        names: row.names,
        challenge: row.challenge,
        labels: row.labels,
        key_type: row.key_type,
        reuse_key: row.reuse_key,
        key_days_max: row.key_days_max,
        csr_der: row.csr_der,
        csr_received_at: row.csr_received_at.map(Timestamp::from),
        auto_renew: row.auto_renew,
        paused_at: row.paused_at.map(Timestamp::from),
        is_given_up: row.given_up_at.is_some(),
        version: row.version,
    }))
}

/// Makes it be as wished. Orders that wait for other names than are wished now are over; what is at the CA goes on. Names
/// that are left out stay with their tenant. Returns the orders that are over, and `None` in place of an unchanged row.
pub async fn change(
    work: &mut Work,
    locked: &Locked,
    change: Change,
) -> Result<Result<Option<Vec<OrderId>>, Refusal>, StoreError> {
    let now = work.at();
    let wished = Wished::of(locked, &change)?;
    // Its names had gone to another tenant, and are said to be wished all the same.
    let wished_again = locked.is_given_up && change.names.is_some();
    if wished.is_as(locked) && !change.orders_anew && !wished_again {
        return Ok(Ok(None));
    }
    if wished.external_id != locked.external_id
        && let Some(taken) = named(work, locked.tenant, &wished.external_id).await?
    {
        return Ok(Err(Refusal::ExternalIdTaken(taken)));
    }
    let begins = wished.names != locked.names || wished_again;
    if (begins || wished.method.as_str() != locked.challenge)
        && let Err(hindrance) =
            claims::claim(work, locked.tenant, &wished.identifiers, wished.method, u64::from(begins)).await?
    {
        return Ok(Err(hindrance.into()));
    }
    let received_at = match &wished.key.csr_der {
        None => None,
        Some(der) if Some(der) == locked.csr_der.as_ref() && !change.orders_anew => locked.csr_received_at,
        Some(_) => Some(now),
    };
    sqlx::query_file!(
        "queries/certificates_rewish.sql",
        locked.id.0,
        wished.external_id,
        &wished.names,
        wished.method.as_str(),
        wished.labels,
        wished.key.kind.map(KeyKind::as_str),
        wished.key.reuse,
        wished.key.days_max.map(i32::from),
        wished.key.csr_der.as_deref(),
        received_at.map(sql_instant) as Option<OffsetDateTime>,
        wished.auto_renew,
        sql_instant(now),
        wished_again
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("certificates.rewish"))?;
    let mut over = Vec::new();
    if begins || change.orders_anew {
        let keep = (!change.orders_anew).then_some(wished.names.as_slice());
        over = order_ends::end_all_but(work, locked.id, keep, now).await?;
        queueing::queue(work, locked.account, Lane::Interactive, locked.id, locked.tenant).await?;
    }
    Ok(Ok(Some(over)))
}

struct Wished {
    external_id: String,
    identifiers: Identifiers,
    names: Vec<String>,
    method: ValidationMethod,
    labels: Value,
    key: KeyWish,
    auto_renew: bool,
}

impl Wished {
    fn of(locked: &Locked, change: &Change) -> Result<Self, StoreError> {
        let identifiers = match &change.names {
            Some(names) => names.clone(),
            None => locked.identifiers()?,
        };
        let stored = ValidationMethod::parse(&locked.challenge).ok_or_else(|| StoreError::Inconsistent {
            table: "certificates",
            what: format!("{}: unknown challenge {:?}", locked.id, locked.challenge),
        });
        Ok(Self {
            external_id: change.external_id.clone().unwrap_or_else(|| locked.external_id.clone()),
            names: spelt(&identifiers),
            identifiers,
            method: change.method.map_or(stored, Ok)?,
            labels: change.labels.as_ref().map_or_else(|| locked.labels.clone(), |labels| json!(labels)),
            key: change.key.clone().unwrap_or_else(|| locked.key()),
            auto_renew: change.auto_renew.unwrap_or(locked.auto_renew),
        })
    }

    fn is_as(&self, locked: &Locked) -> bool {
        self.external_id == locked.external_id
            && self.names == locked.names
            && self.method.as_str() == locked.challenge
            && self.labels == locked.labels
            && self.key == locked.key()
            && self.auto_renew == locked.auto_renew
    }
}

fn spelt(names: &Identifiers) -> Vec<String> {
    names.iter().map(Hostname::to_string).collect()
}

/// Whether any of these is a certificate of the tenant's for exactly these names.
pub(super) async fn for_names(
    work: &mut Work,
    tenant: TenantId,
    names: &Identifiers,
) -> Result<Option<CertificateId>, StoreError> {
    let names = spelt(names);
    let found: Option<Uuid> = sqlx::query_scalar!(
        "select certificate_id from certificates
         where tenant_id = $1 and names @> $2 and names = $2 and deleted_at is null
         order by certificate_id
         limit 1",
        tenant.0,
        &names
    )
    .fetch_optional(work.conn())
    .await
    .map_err(StoreError::of("certificates.for_names"))?;
    Ok(found.map(CertificateId))
}
