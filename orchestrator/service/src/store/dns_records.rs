//! TXT records that prove names: what is wanted, what was published, and what is to go; and who may write where.
//!
//! A row comes before its record and goes after it, so a record that may stand at a provider always has one.

use issuance::ids::OrderId;
use issuance::time::Timestamp;
use sqlx::types::Uuid;

use super::leases::Lease;
use super::mint::Mint;
use super::{Store, StoreError, sql_instant};

/// A record that an authorization needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedRecord {
    pub authorization_url: String,
    pub provider: String,
    pub zone: String,
    /// Where it is to stand.
    pub owner: String,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsRecord {
    pub id: Uuid,
    pub order: OrderId,
    pub wanted: WantedRecord,
    pub created_at: Timestamp,
    /// The provider has confirmed it.
    pub published_at: Option<Timestamp>,
    /// Since when all looks have shown it on all servers.
    pub visible_at: Option<Timestamp>,
    /// The servers that were asked in the last look that found any.
    pub server_set: Option<String>,
    /// It is to go.
    pub unwanted_at: Option<Timestamp>,
    /// Writes that failed in a row.
    pub failures: u32,
}

struct Row {
    record_id: Uuid,
    order_id: Uuid,
    authorization_url: String,
    provider: String,
    zone: String,
    owner: String,
    value: String,
    created_at: sqlx::types::time::OffsetDateTime,
    published_at: Option<sqlx::types::time::OffsetDateTime>,
    visible_at: Option<sqlx::types::time::OffsetDateTime>,
    server_set: Option<String>,
    unwanted_at: Option<sqlx::types::time::OffsetDateTime>,
    failures: i32,
}

impl From<Row> for DnsRecord {
    fn from(row: Row) -> Self {
        Self {
            id: row.record_id,
            order: OrderId(row.order_id),
            wanted: WantedRecord {
                authorization_url: row.authorization_url,
                provider: row.provider,
                zone: row.zone,
                owner: row.owner,
                value: row.value,
            },
            created_at: row.created_at.into(),
            published_at: row.published_at.map(Timestamp::from),
            visible_at: row.visible_at.map(Timestamp::from),
            server_set: row.server_set,
            unwanted_at: row.unwanted_at.map(Timestamp::from),
            failures: u32::try_from(row.failures).unwrap_or(0),
        }
    }
}

/// What a look has shown of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordLook {
    pub record: Uuid,
    /// Since when all looks have shown it on all servers; `None`: this one did not.
    pub visible_at: Option<Timestamp>,
    /// `None`: no server was found.
    pub server_set: Option<String>,
}

/// The right to be the only one who writes at some names of a provider, for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    pub provider: String,
    holder: Uuid,
    /// Those of the names asked for that nobody else holds.
    pub owners: Vec<String>,
}

/// What there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordCounts {
    pub wanted: u64,
    pub published: u64,
    pub unwanted: u64,
    pub oldest_unwanted_at: Option<Timestamp>,
}

impl Store {
    /// Keeps what the order wants, before anything is published. False, and nothing is kept, if its lease was lost.
    pub async fn want_records(
        &self,
        lease: Lease,
        wanted: &[WantedRecord],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mint = Mint::at(now);
        let ids: Vec<Uuid> = wanted.iter().map(|_| mint.uuid()).collect();
        let column =
            |of: fn(&WantedRecord) -> &String| wanted.iter().map(of).cloned().collect::<Vec<String>>();
        sqlx::query_file_scalar!(
            "queries/dns_records_want.sql",
            lease.order.0,
            lease.epoch,
            &ids,
            &column(|one| &one.authorization_url),
            &column(|one| &one.provider),
            &column(|one| &one.zone),
            &column(|one| &one.owner),
            &column(|one| &one.value),
            sql_instant(now)
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("dns_records.want"))
    }

    /// Those of one order that are wanted.
    pub async fn records_of(&self, order: OrderId) -> Result<Vec<DnsRecord>, StoreError> {
        let rows = sqlx::query_as!(
            Row,
            "select record_id, order_id, authorization_url, provider, zone, owner, value, created_at, published_at,
                visible_at, server_set, unwanted_at, failures
             from dns_records where order_id = $1 and unwanted_at is null order by record_id",
            order.0
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("dns_records.of_order"))?;
        Ok(rows.into_iter().map(DnsRecord::from).collect())
    }

    /// All that stand, are wanted or are to go at those names.
    pub async fn records_at(&self, writer: &Writer) -> Result<Vec<DnsRecord>, StoreError> {
        let rows = sqlx::query_as!(
            Row,
            "select record_id, order_id, authorization_url, provider, zone, owner, value, created_at, published_at,
                visible_at, server_set, unwanted_at, failures
             from dns_records where provider = $1 and owner = any($2) order by record_id",
            writer.provider,
            &writer.owners
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("dns_records.at"))?;
        Ok(rows.into_iter().map(DnsRecord::from).collect())
    }

    /// Those that are to go and may be tried now, longest due first.
    pub async fn records_to_remove(&self, now: Timestamp, limit: u16) -> Result<Vec<DnsRecord>, StoreError> {
        let rows = sqlx::query_as!(
            Row,
            "select record_id, order_id, authorization_url, provider, zone, owner, value, created_at, published_at,
                visible_at, server_set, unwanted_at, failures
             from dns_records where unwanted_at is not null and retry_at <= $1 order by retry_at limit $2",
            sql_instant(now),
            i64::from(limit)
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("dns_records.to_remove"))?;
        Ok(rows.into_iter().map(DnsRecord::from).collect())
    }

    /// Marks what no authorization needs any more, up to `limit`. Returns how many there were.
    pub async fn unwant_records(&self, now: Timestamp, limit: u16) -> Result<u64, StoreError> {
        sqlx::query_file!("queries/dns_records_unwant.sql", sql_instant(now), i64::from(limit))
            .execute(self.pool())
            .await
            .map(|done| done.rows_affected())
            .map_err(StoreError::of("dns_records.unwant"))
    }

    /// What the provider has confirmed.
    pub async fn records_published(&self, records: &[DnsRecord], now: Timestamp) -> Result<(), StoreError> {
        let text = |of: fn(&DnsRecord) -> &String| records.iter().map(of).cloned().collect::<Vec<String>>();
        let ids: Vec<Uuid> = records.iter().map(|one| one.id).collect();
        let orders: Vec<Uuid> = records.iter().map(|one| one.order.0).collect();
        let created: Vec<_> = records.iter().map(|one| sql_instant(one.created_at)).collect();
        sqlx::query_file!(
            "queries/dns_records_published.sql",
            &ids,
            &orders,
            &text(|one| &one.wanted.authorization_url),
            &text(|one| &one.wanted.provider),
            &text(|one| &one.wanted.zone),
            &text(|one| &one.wanted.owner),
            &text(|one| &one.wanted.value),
            &created,
            sql_instant(now)
        )
        .execute(self.pool())
        .await
        .map(drop)
        .map_err(StoreError::of("dns_records.published"))
    }

    /// What the provider has removed.
    pub async fn records_removed(&self, ids: &[Uuid]) -> Result<(), StoreError> {
        sqlx::query!("delete from dns_records where record_id = any($1) and unwanted_at is not null", ids)
            .execute(self.pool())
            .await
            .map(drop)
            .map_err(StoreError::of("dns_records.removed"))
    }

    /// A write that failed. Those that are to go are tried again at `retry_at`.
    pub async fn records_failed(
        &self,
        ids: &[Uuid],
        detail: &str,
        retry_at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "update dns_records
             set failures = failures + 1,
                 fault_detail = $2,
                 retry_at = case when unwanted_at is not null then $3::timestamptz end
             where record_id = any($1)",
            ids,
            detail,
            sql_instant(retry_at)
        )
        .execute(self.pool())
        .await
        .map(drop)
        .map_err(StoreError::of("dns_records.failed"))
    }

    /// What looks have shown.
    pub async fn records_looked_at(&self, looks: &[RecordLook]) -> Result<(), StoreError> {
        let ids: Vec<Uuid> = looks.iter().map(|one| one.record).collect();
        let since: Vec<_> = looks.iter().map(|one| one.visible_at.map(sql_instant)).collect();
        let servers: Vec<_> = looks.iter().map(|one| one.server_set.clone()).collect();
        sqlx::query!(
            "update dns_records
             set visible_at = look.visible_at, server_set = coalesce(look.server_set, dns_records.server_set)
             from unnest($1::uuid[], $2::timestamptz[], $3::text[]) as look (record_id, visible_at, server_set)
             where dns_records.record_id = look.record_id and unwanted_at is null",
            &ids,
            &since as &[Option<sqlx::types::time::OffsetDateTime>],
            &servers as &[Option<String>]
        )
        .execute(self.pool())
        .await
        .map(drop)
        .map_err(StoreError::of("dns_records.looked_at"))
    }

    /// Becomes the only writer of those of the names that nobody else is writing, until `until`.
    pub async fn take_writer(
        &self,
        provider: &str,
        owners: &[String],
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Writer, StoreError> {
        let holder = Uuid::new_v4();
        let owners = sqlx::query_file_scalar!(
            "queries/dns_writers_take.sql",
            provider,
            owners,
            holder,
            sql_instant(now),
            sql_instant(until)
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("dns_writers.take"))?;
        Ok(Writer { provider: provider.to_owned(), holder, owners })
    }

    /// Lets others write, where this one still may.
    pub async fn let_go(&self, writer: &Writer) -> Result<(), StoreError> {
        sqlx::query!(
            "delete from dns_writers where provider = $1 and owner = any($2) and holder = $3",
            writer.provider,
            &writer.owners,
            writer.holder
        )
        .execute(self.pool())
        .await
        .map(drop)
        .map_err(StoreError::of("dns_writers.let_go"))
    }

    pub async fn count_records(&self) -> Result<RecordCounts, StoreError> {
        let row = sqlx::query_file!("queries/dns_records_count.sql")
            .fetch_one(self.pool())
            .await
            .map_err(StoreError::of("dns_records.count"))?;
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        Ok(RecordCounts {
            wanted: count(row.wanted),
            published: count(row.published),
            unwanted: count(row.unwanted),
            oldest_unwanted_at: row.oldest_unwanted_at.map(Timestamp::from),
        })
    }

    /// The tenant's name, as the configuration has it.
    pub async fn tenant_slug(&self, tenant: issuance::ids::TenantId) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar!("select slug from tenants where tenant_id = $1", tenant.0)
            .fetch_optional(self.pool())
            .await
            .map_err(StoreError::of("tenants.slug"))
    }
}
