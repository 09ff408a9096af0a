//! Hostnames as their owners wish them over the API: put in place, and given up.

use std::collections::BTreeMap;

use issuance::authorization::ValidationMethod;
use issuance::fairness::Lane;
use issuance::identifier::{Hostname, Identifiers};
use issuance::ids::{AccountId, CertificateId, OrderId, TenantId};
use serde_json::{Value, json};

use super::certificate_wishes::{self, Change, KeyWish, NewCertificate, Refusal};
use super::quotas::Excess;
use super::work::Work;
use super::{StoreError, certificate_actions, claims, relinquishments, sql_instant};

/// A name that is to be as this says.
#[derive(Debug, Clone)]
pub struct WantedHostname<'a> {
    pub tenant: TenantId,
    pub account: AccountId,
    pub hostname: &'a Hostname,
    pub external_id: Option<&'a str>,
    pub labels: &'a BTreeMap<String, String>,
    pub method: ValidationMethod,
    /// With what its certificate is to be; `None`: no certificate is kept for it.
    pub certificate: Option<WantedCertificate>,
}

#[derive(Debug, Clone)]
pub struct WantedCertificate {
    /// The hostname, and what goes with it.
    pub names: Identifiers,
    pub key: KeyWish,
    pub lane: Lane,
}

/// What putting a name in place has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Put {
    /// It was nobody's.
    pub created: bool,
    /// It was the tenant's, and is different now.
    pub changed: bool,
    pub certificate: Option<CertificateId>,
    /// The certificate is new, or for other names than before.
    pub certificate_created: bool,
    pub certificate_changed: bool,
    /// Orders that are over, since something else is wished.
    pub over: Vec<OrderId>,
    pub before: Value,
    pub after: Value,
}

/// Why a name is not put in place. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutRefusal {
    HostnameOwnedByOtherTenant(Hostname),
    /// Another name, or a certificate for other names, goes by that external id.
    ExternalIdTaken {
        by: String,
    },
    /// A quota of the tenant does not allow it.
    Excess(Excess),
}

impl From<Refusal> for PutRefusal {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::HostnameOwnedByOtherTenant(name) => Self::HostnameOwnedByOtherTenant(name),
            Refusal::ExternalIdTaken(certificate) => Self::ExternalIdTaken { by: certificate.to_string() },
            Refusal::Excess(excess) => Self::Excess(excess),
        }
    }
}

/// A name of the tenant's, held by this work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedHostname {
    pub tenant: TenantId,
    pub external_id: Option<String>,
    pub labels: Value,
    pub auto_certificate: bool,
    pub certificate: Option<CertificateId>,
    pub version: i64,
}

impl LockedHostname {
    fn told(&self) -> Value {
        json!({
            "external_id": self.external_id,
            "labels": self.labels,
            "auto_certificate": self.auto_certificate,
            "certificate_id": self.certificate,
        })
    }
}

/// `None`: it is nobody's, given up, or not this viewer's.
pub async fn lock(work: &mut Work, hostname: &Hostname) -> Result<Option<LockedHostname>, StoreError> {
    let viewer = work.viewer();
    let row = sqlx::query!(
        "select tenant_id, external_id, labels, auto_certificate, certificate_id, version
         from hostnames
         where hostname = $1 and ($2::uuid is null or tenant_id = $2) and releasing_since is null
         for no key update",
        hostname.validation_target(),
        viewer.tenant_id()
    )
    .fetch_optional(work.conn())
    .await
    .map_err(StoreError::of("hostnames.lock"))?;
    Ok(row.map(|row| LockedHostname {
        tenant: TenantId(row.tenant_id),
        external_id: row.external_id,
        labels: row.labels,
        auto_certificate: row.auto_certificate,
        certificate: row.certificate_id.map(CertificateId),
        version: row.version,
    }))
}

/// Makes the name be as wished, its certificate with it. The tenant is held by this work; `before` is the name as it is.
pub async fn put(
    work: &mut Work,
    wanted: &WantedHostname<'_>,
    before: Option<&LockedHostname>,
) -> Result<Result<Put, PutRefusal>, StoreError> {
    let target = wanted.hostname.validation_target();
    if let Some(external_id) = wanted.external_id
        && let Some(by) = named(work, wanted.tenant, external_id, target).await?
    {
        return Ok(Err(PutRefusal::ExternalIdTaken { by }));
    }
    let alone = Identifiers::new([wanted.hostname.clone()])
        .map_err(|error| StoreError::Inconsistent { table: "hostnames", what: error.to_string() })?;
    // What its certificate has besides is claimed with that.
    if let Err(hindrance) = claims::claim(work, wanted.tenant, &alone, wanted.method, 0).await? {
        return Ok(Err(Refusal::from(hindrance).into()));
    }
    let mut done = Put {
        created: before.is_none(),
        before: before.map_or(Value::Null, LockedHostname::told),
        certificate: before.and_then(|before| before.certificate),
        ..Put::default()
    };
    match keep_certificate(work, wanted, &mut done).await? {
        Ok(()) => {}
        Err(refusal) => return Ok(Err(refusal)),
    }
    let after = LockedHostname {
        tenant: wanted.tenant,
        external_id: wanted.external_id.map(str::to_owned),
        labels: json!(wanted.labels),
        auto_certificate: wanted.certificate.is_some(),
        certificate: done.certificate,
        version: before.map_or(1, |before| before.version),
    };
    done.after = after.told();
    if before != Some(&after) {
        done.changed = before.is_some();
        let now = work.at();
        sqlx::query!(
            "update hostnames
             set external_id = $2, labels = $3, auto_certificate = $4, certificate_id = $5, updated_at = $6
             where hostname = $1",
            target,
            after.external_id,
            after.labels,
            after.auto_certificate,
            after.certificate.map(|certificate| certificate.0),
            sql_instant(now)
        )
        .execute(work.conn())
        .await
        .map_err(StoreError::of("hostnames.put"))?;
    }
    Ok(Ok(done))
}

/// Which name of the tenant's, but `hostname`, goes by an external id.
async fn named(
    work: &mut Work,
    tenant: TenantId,
    external_id: &str,
    hostname: &str,
) -> Result<Option<String>, StoreError> {
    sqlx::query_scalar!(
        "select hostname from hostnames where tenant_id = $1 and external_id = $2 and hostname <> $3",
        tenant.0,
        external_id,
        hostname
    )
    .fetch_optional(work.conn())
    .await
    .map_err(StoreError::of("hostnames.named"))
}

/// The certificate that was made for the name; else the one that goes by its external id and has the name; else one for
/// exactly these names; else a new one.
async fn keep_certificate(
    work: &mut Work,
    wanted: &WantedHostname<'_>,
    done: &mut Put,
) -> Result<Result<(), PutRefusal>, StoreError> {
    let Some(certificate) = &wanted.certificate else {
        // It serves until it expires.
        if let Some(id) = done.certificate
            && let Some(locked) = certificate_wishes::lock(work, id).await?
        {
            let change = Change { auto_renew: Some(false), ..Change::default() };
            let changed = certificate_wishes::change(work, &locked, change).await?;
            done.certificate_changed = matches!(changed, Ok(Some(_)));
        }
        return Ok(Ok(()));
    };
    let external_id = wanted.external_id.unwrap_or(wanted.hostname.as_str());
    let mut id = done.certificate;
    if id.is_none() {
        id = certificate_wishes::named(work, wanted.tenant, external_id).await?;
    }
    if id.is_none() {
        id = certificate_wishes::for_names(work, wanted.tenant, &certificate.names).await?;
    }
    let locked = match id {
        Some(id) => certificate_wishes::lock(work, id).await?,
        None => None,
    };
    let Some(locked) = locked else {
        let new = NewCertificate {
            tenant: wanted.tenant,
            account: wanted.account,
            external_id: Some(external_id),
            names: &certificate.names,
            method: wanted.method,
            labels: wanted.labels,
            key: certificate.key.clone(),
            auto_renew: true,
            lane: certificate.lane,
        };
        return Ok(match certificate_wishes::create(work, &new).await? {
            Ok(id) => {
                done.certificate = Some(id);
                done.certificate_created = true;
                Ok(())
            }
            Err(refusal) => Err(refusal.into()),
        });
    };
    if done.certificate.is_none() && !locked.names.iter().any(|name| name == wanted.hostname.as_str()) {
        return Ok(Err(PutRefusal::ExternalIdTaken { by: locked.id.to_string() }));
    }
    let orders_anew = certificate.key.csr_der.is_some() && certificate.key.csr_der != locked.csr_der;
    let change = Change {
        external_id: wanted.external_id.map(str::to_owned),
        names: Some(certificate.names.clone()),
        method: Some(wanted.method),
        labels: Some(wanted.labels.clone()),
        key: Some(certificate.key.clone()),
        orders_anew,
        auto_renew: Some(true),
    };
    Ok(match certificate_wishes::change(work, &locked, change).await? {
        Ok(changed) => {
            done.certificate = Some(locked.id);
            done.certificate_changed = changed.is_some();
            done.over = changed.unwrap_or_default();
            Ok(())
        }
        Err(refusal) => Err(refusal.into()),
    })
}

/// What giving a name up has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GivenUp {
    pub certificates: Vec<CertificateId>,
    /// Orders that are over at once; those at the CA are settled first.
    pub orders: Vec<OrderId>,
    pub before: Value,
}

/// Gives the name up: its certificate goes with it, and what came with that. `Err` with the certificates that have the
/// name among others, where there are any: nothing was changed then.
pub async fn give_up(
    work: &mut Work,
    account: AccountId,
    hostname: &Hostname,
    locked: &LockedHostname,
) -> Result<Result<GivenUp, Vec<CertificateId>>, StoreError> {
    let now = work.at();
    let target = hostname.validation_target();
    let both = [target.to_owned(), format!("*.{target}")];
    let wishing = sqlx::query!(
        "select certificate_id, names from certificates
         where tenant_id = $1 and names && $2 and deleted_at is null
         order by certificate_id",
        locked.tenant.0,
        &both
    )
    .fetch_all(work.conn())
    .await
    .map_err(StoreError::of("hostnames.wishing"))?;
    let is_its_own = |id: CertificateId, names: &[String]| {
        locked.certificate == Some(id) || names.iter().all(|name| both.contains(name))
    };
    let others: Vec<CertificateId> = wishing
        .iter()
        .map(|row| (CertificateId(row.certificate_id), &row.names))
        .filter(|(id, names)| !is_its_own(*id, names))
        .map(|(id, _)| id)
        .collect();
    if !others.is_empty() {
        return Ok(Err(others));
    }
    let mut done = GivenUp { before: locked.told(), ..GivenUp::default() };
    let mut names = vec![target.to_owned()];
    for row in wishing {
        let id = CertificateId(row.certificate_id);
        if let Some(certificate) = certificate_wishes::lock(work, id).await? {
            done.orders.extend(certificate_actions::remove(work, &certificate).await?);
            done.certificates.push(id);
        }
        names.extend(row.names.iter().map(|name| name.strip_prefix("*.").unwrap_or(name).to_owned()));
    }
    names.sort_unstable();
    names.dedup();
    let released = sqlx::query_scalar!(
        "update hostnames
         set releasing_since = $3, external_id = null, certificate_id = null, auto_certificate = false, updated_at = $3
         where tenant_id = $1 and hostname = any($2) and releasing_since is null
             -- What was put in place by itself stays, and so does what another certificate has.
             and (hostname = $4 or (external_id is null and not auto_certificate and not exists (
                 select from certificates
                 where certificates.names && array[hostnames.hostname, '*.' || hostnames.hostname]
                     and certificates.deleted_at is null)))
         returning hostname",
        locked.tenant.0,
        &names,
        sql_instant(now),
        target
    )
    .fetch_all(work.conn())
    .await
    .map_err(StoreError::of("hostnames.give_up"))?;
    for name in released.iter().filter_map(|name| Hostname::parse(name).ok()) {
        relinquishments::wish(work.conn(), account, locked.tenant, &name, now).await?;
    }
    let limit = u16::try_from(released.len()).unwrap_or(u16::MAX);
    relinquishments::release(work.conn(), account, Some(locked.tenant), now, limit).await?;
    Ok(Ok(done))
}
