//! Who has fetched the challenge responses of an order, from where, and what they got.

use issuance::ids::{AuthorizationId, OrderId};
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::types::Uuid;
use utoipa::ToSchema;

use super::mint::Mint;
use super::page::{Listing, Page};
use super::viewer::Viewer;
use super::{Store, StoreError, sql_instant};

/// One request that the responder has answered, to be written.
#[derive(Debug, Clone)]
pub struct FetchEntry {
    id: Uuid,
    facts: FetchFacts,
}

/// What an entry says.
#[derive(Debug, Clone)]
pub struct FetchFacts {
    pub order: OrderId,
    pub token: String,
    pub at: Timestamp,
    /// An address.
    pub source: String,
    pub method: &'static str,
    pub host: Option<String>,
    pub user_agent: Option<String>,
    pub status: u16,
    pub own: bool,
}

impl FetchEntry {
    /// Draws its id, so that writing it twice writes it once.
    pub fn new(facts: FetchFacts) -> Self {
        Self { id: Mint::at(facts.at).uuid(), facts }
    }
}

/// One request for a response, as tenants and the operator see it. Of the token they see whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FetchView {
    pub at: Timestamp,
    pub authorization_id: Option<AuthorizationId>,
    /// The name that the token proves.
    pub identifier: Option<String>,
    /// The address it came from.
    pub source: String,
    /// `GET`, `HEAD` or `other`.
    pub method: String,
    /// As the client named it.
    pub host: Option<String>,
    pub user_agent: Option<String>,
    /// What it got: an HTTP status.
    pub status: i16,
    /// This service itself, before it submitted the challenge.
    pub own: bool,
    #[serde(skip)]
    id: Uuid,
}

impl Store {
    /// Writes what was fetched, but of one order no more than `per_order_max`, and as many looks of our own.
    pub async fn record_fetches(&self, entries: &[FetchEntry], per_order_max: u32) -> Result<(), StoreError> {
        let ids: Vec<Uuid> = entries.iter().map(|entry| entry.id).collect();
        let facts = || entries.iter().map(|entry| &entry.facts);
        let orders: Vec<Uuid> = facts().map(|fetch| fetch.order.0).collect();
        let tokens: Vec<String> = facts().map(|fetch| fetch.token.clone()).collect();
        let instants: Vec<_> = facts().map(|fetch| sql_instant(fetch.at)).collect();
        let sources: Vec<String> = facts().map(|fetch| fetch.source.clone()).collect();
        let methods: Vec<String> = facts().map(|fetch| fetch.method.to_owned()).collect();
        let hosts: Vec<Option<String>> = facts().map(|fetch| fetch.host.clone()).collect();
        let agents: Vec<Option<String>> = facts().map(|fetch| fetch.user_agent.clone()).collect();
        let statuses: Vec<i16> =
            facts().map(|fetch| i16::try_from(fetch.status).unwrap_or(i16::MAX)).collect();
        let own: Vec<bool> = facts().map(|fetch| fetch.own).collect();
        sqlx::query_file!(
            "queries/fetches_insert.sql",
            &ids,
            &orders,
            &tokens,
            &instants,
            &sources,
            &methods,
            &hosts as &[Option<String>],
            &agents as &[Option<String>],
            &statuses,
            &own,
            i64::from(per_order_max)
        )
        .execute(self.pool())
        .await
        .map(drop)
        .map_err(StoreError::of("fetches.record"))
    }

    /// Forgets up to `rows_max` fetches from before `before`, the oldest first. Returns how many there were.
    pub async fn forget_fetches(&self, before: Timestamp, rows_max: u16) -> Result<u64, StoreError> {
        sqlx::query!(
            "delete from response_fetches
             where fetch_id in (
                 select fetch_id from response_fetches where fetch_id < $1 order by fetch_id limit $2)",
            Mint::floor(before),
            i64::from(rows_max)
        )
        .execute(self.pool())
        .await
        .map(|done| done.rows_affected())
        .map_err(StoreError::of("fetches.forget"))
    }
}

/// What was fetched of one order, earliest first.
pub async fn list(
    store: &Store,
    viewer: Viewer,
    order: OrderId,
    page: &Page,
) -> Result<Listing<FetchView>, StoreError> {
    let mut conn = store.read_as(viewer).await?;
    let found = sqlx::query_file!(
        "queries/fetches_list.sql",
        order.0,
        viewer.tenant_id(),
        page.after(),
        page.rows_to_read(),
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(StoreError::of("fetches.list"))?;
    let views = found.into_iter().map(|row| FetchView {
        at: row.fetched_at.into(),
        authorization_id: row.authorization_id.map(AuthorizationId),
        identifier: row.identifier,
        source: row.source,
        method: row.method,
        host: row.host,
        user_agent: row.user_agent,
        status: row.status,
        own: row.own,
        id: row.fetch_id,
    });
    Ok(page.listing(views.collect(), |fetch| fetch.id))
}
