//! Versions: everything that the CA has signed for one certificate.

use issuance::hexadecimal::hexadecimal;
use issuance::ids::{CertificateId, VersionId};
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::page::{Listing, Page};
use super::viewer::Viewer;
use super::{Store, StoreError};

/// One of them; never its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionView {
    pub id: VersionId,
    pub certificate_id: CertificateId,
    /// 1 for the first.
    pub number: i64,
    /// The latest: what servers are given.
    pub is_current: bool,
    pub names: Vec<String>,
    pub serial: String,
    pub issuer: String,
    /// SHA-256 of the leaf, lower-case hexadecimal.
    pub fingerprint_sha256: String,
    /// SHA-256 of its public key (`SubjectPublicKeyInfo`), lower-case hexadecimal.
    pub spki_sha256: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub issued_at: Timestamp,
    /// Whether its private key is held here.
    pub has_key: bool,
}

/// Oldest first. `None`: no such certificate for this viewer.
pub async fn list(
    store: &Store,
    viewer: Viewer,
    certificate: CertificateId,
    page: &Page,
) -> Result<Option<Listing<VersionView>>, StoreError> {
    let is_there = sqlx::query_scalar!(
        r#"select exists (
               select 1 from certificates
               where certificate_id = $2 and ($1::uuid is null or tenant_id = $1) and deleted_at is null
           ) as "exists!""#,
        viewer.tenant_id(),
        certificate.0,
    )
    .fetch_one(&mut *store.read_as(viewer).await?)
    .await
    .map_err(StoreError::of("versions.list"))?;
    if !is_there {
        return Ok(None);
    }
    let rows = sqlx::query!(
        r#"with versions as (
               select *, row_number() over (order by issued_at, order_id) as number,
                   row_number() over (order by issued_at desc, order_id desc) = 1 as is_current
               from issued_certificates
               where certificate_id = $1
           )
           select order_id, number as "number!", is_current as "is_current!", names, serial, issuer,
               fingerprint_sha256, spki_sha256, not_before, not_after, issued_at,
               key_sealed is not null as "has_key!"
           from versions
           where $2::uuid is null or number > (select number from versions where order_id = $2)
           order by number
           limit $3"#,
        certificate.0,
        page.after(),
        page.rows_to_read(),
    )
    .fetch_all(&mut *store.read_as(viewer).await?)
    .await
    .map_err(StoreError::of("versions.list"))?;
    let views = rows.into_iter().map(|row| VersionView {
        id: VersionId(row.order_id),
        certificate_id: certificate,
        number: row.number,
        is_current: row.is_current,
        names: row.names,
        serial: row.serial,
        issuer: row.issuer,
        fingerprint_sha256: hexadecimal(&row.fingerprint_sha256),
        spki_sha256: hexadecimal(&row.spki_sha256),
        not_before: row.not_before.into(),
        not_after: row.not_after.into(),
        issued_at: row.issued_at.into(),
        has_key: row.has_key,
    });
    Ok(Some(page.listing(views.collect(), |version| version.id.0)))
}
