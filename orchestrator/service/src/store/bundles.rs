//! Chains with their sealed keys, for servers: one, all that a server needs, or the one for a name.

use issuance::identifier::Hostname;
use issuance::ids::{ApiKeyId, CertificateId, OrderId, TenantId, VersionId};
use issuance::selector::Selector;
use issuance::time::Timestamp;
use serde_json::{Map, Value};

use super::viewer::Viewer;
use super::{Store, StoreError, sql_instant};

/// For whom: whose rows, and of those the ones with certain labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience {
    pub viewer: Viewer,
    /// `None`: whatever their labels are.
    pub selector: Option<Selector>,
}

impl Audience {
    /// Narrowed down; `None` where nothing can have the labels of both.
    #[must_use]
    pub fn narrowed(&self, wanted: &Selector) -> Option<Self> {
        let selector = match &self.selector {
            Some(own) => own.and(wanted)?,
            None => wanted.clone(),
        };
        Some(Self { selector: Some(selector), ..self.clone() })
    }

    /// For `labels @> $n`: an empty object is in all of them.
    pub(super) fn labels(&self) -> Value {
        let terms = self.selector.iter().flat_map(Selector::terms);
        Value::Object(terms.map(|(key, value)| (key.to_owned(), value.into())).collect())
    }

    /// Whether something of that tenant and with those labels is for it.
    pub fn includes(&self, tenant: TenantId, labels: &Value) -> bool {
        let own = match self.viewer {
            Viewer::Operator => true,
            Viewer::Tenant(viewer) => viewer == tenant,
        };
        own && self
            .selector
            .as_ref()
            .is_none_or(|selector| selector.selects(|key| labels.get(key).and_then(Value::as_str)))
    }
}

/// One version, as the CA has signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBundle {
    pub certificate: CertificateId,
    pub order: OrderId,
    pub names: Vec<String>,
    pub fingerprint_sha256: Vec<u8>,
    pub chain_pem: String,
    /// `None`: whoever made the request has kept the key.
    pub key_sealed: Option<Vec<u8>>,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
}

impl StoredBundle {
    pub fn version(&self) -> VersionId {
        VersionId(self.order.0)
    }
}

/// One certificate that a server needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedBundle {
    pub certificate: CertificateId,
    pub version: VersionId,
    pub external_id: String,
    pub names: Vec<String>,
    pub fingerprint_sha256: Vec<u8>,
    pub not_after: Timestamp,
    pub has_key: bool,
}

/// What the labels of a key restrict it to; `None`: nothing.
pub async fn selector_of(store: &Store, key: ApiKeyId) -> Result<Option<Selector>, StoreError> {
    let found = sqlx::query_scalar!("select selector from api_keys where key_id = $1", key.0)
        .fetch_optional(store.pool())
        .await
        .map_err(StoreError::of("bundles.selector_of"))?;
    let Some(labels) = found.flatten() else { return Ok(None) };
    // Labels that cannot be read restrict to nothing that exists: taken for none, they would open everything.
    read_selector(&labels).map(Some).ok_or_else(|| StoreError::Inconsistent {
        table: "api_keys",
        what: "the selector of a key is no set of labels".to_owned(),
    })
}

fn read_selector(labels: &Value) -> Option<Selector> {
    let terms = labels.as_object()?.iter().map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    Selector::parse(&terms.collect::<Option<Vec<_>>>()?.join(",")).ok()
}

/// A selector as a key's row has it.
pub fn selector_labels(selector: &Selector) -> Value {
    let labels: Map<_, _> =
        selector.terms().map(|(key, value)| (key.to_owned(), Value::from(value))).collect();
    Value::Object(labels)
}

/// All of which something was issued, by their ids; one more than `max` where there are more.
pub async fn list(store: &Store, audience: &Audience, max: usize) -> Result<Vec<ListedBundle>, StoreError> {
    let rows = sqlx::query_file!(
        "queries/bundles_list.sql",
        audience.viewer.tenant_id(),
        audience.labels(),
        i64::try_from(max).unwrap_or(i64::MAX).saturating_add(1),
    )
    .fetch_all(&mut *store.read_as(audience.viewer).await?)
    .await
    .map_err(StoreError::of("bundles.list"))?;
    let listed = rows.into_iter().map(|row| ListedBundle {
        certificate: CertificateId(row.certificate_id),
        version: VersionId(row.order_id),
        external_id: row.external_id,
        names: row.names,
        fingerprint_sha256: row.fingerprint_sha256,
        not_after: row.not_after.into(),
        has_key: row.has_key,
    });
    Ok(listed.collect())
}

/// The current version, or `version`. The outer `None`: no such certificate for this audience; the inner: nothing was
/// issued yet, or not this version.
pub async fn find(
    store: &Store,
    audience: &Audience,
    certificate: CertificateId,
    version: Option<VersionId>,
) -> Result<Option<Option<StoredBundle>>, StoreError> {
    let found = sqlx::query_file!(
        "queries/bundles_find.sql",
        audience.viewer.tenant_id(),
        audience.labels(),
        certificate.0,
        version.map(|version| version.0),
    )
    .fetch_optional(&mut *store.read_as(audience.viewer).await?)
    .await
    .map_err(StoreError::of("bundles.find"))?;
    Ok(found.map(|row| {
        Some(StoredBundle {
            certificate: CertificateId(row.certificate_id),
            order: OrderId(row.order_id?),
            names: row.names?,
            fingerprint_sha256: row.fingerprint_sha256?,
            chain_pem: row.chain_pem?,
            key_sealed: row.key_sealed,
            not_before: row.not_before?.into(),
            not_after: row.not_after?.into(),
        })
    }))
}

/// What is to be shown to whoever asks a server for that name now.
pub async fn covering(
    store: &Store,
    audience: &Audience,
    now: Timestamp,
    hostname: &Hostname,
) -> Result<Option<StoredBundle>, StoreError> {
    let found = sqlx::query_file!(
        "queries/bundles_covering.sql",
        audience.viewer.tenant_id(),
        audience.labels(),
        sql_instant(now),
        hostname.as_str(),
        wildcard_above(hostname),
    )
    .fetch_optional(&mut *store.read_as(audience.viewer).await?)
    .await
    .map_err(StoreError::of("bundles.covering"))?;
    Ok(found.map(|row| StoredBundle {
        certificate: CertificateId(row.certificate_id),
        order: OrderId(row.order_id),
        names: row.names,
        fingerprint_sha256: row.fingerprint_sha256,
        chain_pem: row.chain_pem,
        key_sealed: row.key_sealed,
        not_before: row.not_before.into(),
        not_after: row.not_after.into(),
    }))
}

/// Whether a certificate for that name is wished for, issued or not.
pub async fn wishes_for(store: &Store, audience: &Audience, hostname: &Hostname) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"select exists (
               select 1 from certificates
               where ($1::uuid is null or tenant_id = $1)
                   and deleted_at is null
                   and labels @> $2
                   and certificate_id in (select * from certificates_named(array[$3, $4]))
           ) as "exists!""#,
        audience.viewer.tenant_id(),
        audience.labels(),
        hostname.as_str(),
        wildcard_above(hostname),
    )
    .fetch_one(&mut *store.read_as(audience.viewer).await?)
    .await
    .map_err(StoreError::of("bundles.wishes_for"))
}

/// One label deep, as a wildcard reaches (RFC 6125 §6.4.3).
fn wildcard_above(hostname: &Hostname) -> Option<String> {
    let (_, parent) = hostname.as_str().split_once('.')?;
    Some(format!("*.{parent}"))
}

/// What was issued after `since`: which order, for whom, with which labels.
#[derive(Debug, Clone, PartialEq)]
pub struct IssuedLately {
    pub order: OrderId,
    pub tenant: TenantId,
    pub labels: Value,
}

/// At most `max`, latest first.
pub async fn issued_after(
    store: &Store,
    since: Timestamp,
    max: i64,
) -> Result<Vec<IssuedLately>, StoreError> {
    let rows = sqlx::query!(
        "select issued_certificates.order_id, certificates.tenant_id, certificates.labels
         from issued_certificates
         join certificates using (certificate_id)
         where issued_certificates.issued_at > $1 and certificates.deleted_at is null
         order by issued_certificates.issued_at desc
         limit $2",
        sql_instant(since),
        max,
    )
    .fetch_all(store.pool())
    .await
    .map_err(StoreError::of("bundles.issued_after"))?;
    let issued = rows.into_iter().map(|row| IssuedLately {
        order: OrderId(row.order_id),
        tenant: TenantId(row.tenant_id),
        labels: row.labels,
    });
    Ok(issued.collect())
}
