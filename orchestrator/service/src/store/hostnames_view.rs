//! Hostnames in a list: where each stands, in short. `explanations` tells all of one.

use std::collections::BTreeMap;

use issuance::fault::FailureClass;
use issuance::ids::{AccountId, CertificateId, TenantId};
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::candidates::{self, Listed, Part};
use super::explanations::HostnameStatus;
use super::page::{Listing, Page};
use super::viewer::Viewer;
use super::{Store, StoreError, sql_instant};

/// One name in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostnameSummary {
    pub hostname: String,
    pub tenant_id: TenantId,
    /// The tenant's slug.
    pub tenant: String,
    pub external_id: Option<String>,
    #[schema(value_type = Object)]
    pub labels: Value,
    #[schema(value_type = String)]
    pub status: HostnameStatus,
    #[schema(value_type = Option<String>)]
    pub failure_class: Option<FailureClass>,
    pub certificate_id: Option<CertificateId>,
    pub next_attempt_at: Option<Timestamp>,
    pub version: i64,
}

/// Which names; a field that is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostnameFilter {
    pub status: Option<HostnameStatus>,
    /// A tenant's slug.
    pub tenant: Option<String>,
    pub external_id: Option<String>,
    /// All of these it has.
    pub labels: Option<BTreeMap<String, String>>,
    /// How it begins.
    pub prefix: Option<String>,
    pub failure_class: Option<FailureClass>,
}

/// In the order of the names, byte by byte.
pub async fn list(
    store: &Store,
    viewer: Viewer,
    account: AccountId,
    now: Timestamp,
    filter: &HostnameFilter,
    page: &Page,
) -> Result<Listing<HostnameSummary>, StoreError> {
    let mut conn = store.list_as(viewer).await?;
    let asked = Asked { viewer, account, now, filter };
    let after = page.after_text().map(str::to_owned);
    let found = candidates::list(&asked, &mut conn, after, page.rows_to_read()).await?;
    Ok(page.listing_by_text(found, |one| &one.hostname))
}

/// What is asked for, by whom, and when.
struct Asked<'a> {
    viewer: Viewer,
    account: AccountId,
    now: Timestamp,
    filter: &'a HostnameFilter,
}

impl Asked<'_> {
    /// The first text after all that begin as is asked for: names are of letters, digits, hyphens and dots.
    fn beyond(&self) -> Option<String> {
        self.filter.prefix.as_ref().map(|prefix| format!("{prefix}~"))
    }
}

impl Listed for Asked<'_> {
    type Key = String;
    type Row = HostnameSummary;

    async fn candidates(
        &self,
        conn: &mut PgConnection,
        after: Option<&String>,
    ) -> Result<Option<Vec<String>>, StoreError> {
        // The names of one tenant are few, and have an index of their own.
        if self.viewer.tenant_id().is_some() || self.filter.tenant.is_some() {
            return Ok(None);
        }
        let (beyond, after) = (self.beyond(), after.map(String::as_str));
        candidates::hostnames(conn, self.account, self.now, self.filter, beyond.as_deref(), after).await
    }

    async fn select(
        &self,
        conn: &mut PgConnection,
        part: Part<'_, String>,
        rows: i64,
    ) -> Result<Vec<HostnameSummary>, StoreError> {
        let (after, only) = match part {
            Part::After(after) => (after.map(String::as_str), None),
            Part::Among(names) => (None, Some(names)),
        };
        let filter = self.filter;
        let found = sqlx::query_file!(
            "queries/hostnames_list.sql",
            self.viewer.tenant_id(),
            sql_instant(self.now),
            self.account.0,
            after,
            rows,
            filter.tenant.as_deref(),
            filter.external_id.as_deref(),
            filter.labels.as_ref().map(|labels| serde_json::json!(labels)) as Option<Value>,
            filter.prefix.as_deref(),
            self.beyond(),
            filter.status.map(HostnameStatus::as_str),
            filter.failure_class.map(FailureClass::as_str),
            only as Option<&[String]>,
        )
        .fetch_all(conn)
        .await
        .map_err(StoreError::of("hostnames.list"))?;
        let summaries = found.into_iter().map(|row| {
            let status = HostnameStatus::parse(&row.status).ok_or_else(|| StoreError::Inconsistent {
                table: "hostnames",
                what: format!("{} is no status", row.status),
            })?;
            Ok(HostnameSummary {
                hostname: row.hostname,
                tenant_id: TenantId(row.tenant_id),
                tenant: row.tenant,
                external_id: row.external_id,
                labels: row.labels,
                status,
                failure_class: row
                    .fault_class
                    .map(|class| FailureClass::parse(&class).unwrap_or(FailureClass::Internal)),
                certificate_id: row.certificate_id.map(CertificateId),
                next_attempt_at: row.due_at.map(Timestamp::from),
                version: row.version,
            })
        });
        summaries.collect()
    }
}
