//! Campaigns as tenants and the operator see them.

use issuance::campaign::{Counts, Pace, Standing};
use issuance::ids::{CampaignId, CertificateId, OrderId, TenantId, VersionId};
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use sqlx::types::{Json, Uuid};
use utoipa::ToSchema;

use super::counted;
use super::progress::SLOT;
use super::selection::CampaignSelector;
use crate::store::page::{Listing, Page};
use crate::store::viewer::Viewer;
use crate::store::{Store, StoreError, sql_instant};

/// Points of a burn-down, at the most.
const POINTS_MAX: i64 = 400;
/// Those that have not ended and are watched.
const MOVING_MAX: i64 = 1_000;

/// A campaign, and how it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Campaign {
    pub id: CampaignId,
    /// Whose it is; `None`: the operator's.
    pub tenant: Option<TenantId>,
    pub tenant_slug: Option<String>,
    pub reason: String,
    pub selector: CampaignSelector,
    /// Serials that were listed.
    pub serials: u32,
    pub new_keys: bool,
    pub status: String,
    pub created_by: String,
    pub told_late_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub standing: Standing,
}

/// One campaign and how far it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CampaignView {
    pub id: CampaignId,
    /// Whose it is; `None`: the operator's.
    pub tenant_id: Option<TenantId>,
    pub tenant: Option<String>,
    pub reason: String,
    /// What was asked for, but for the serials.
    pub selector: CampaignSelector,
    /// How many serials were listed.
    pub serials_listed: u32,
    /// No key that it is about is kept.
    pub new_keys: bool,
    pub deadline: Timestamp,
    /// Orders in an hour; `None`: as many as the CA's limits allow.
    pub rate_per_hour: Option<u32>,
    /// `running`, `paused`, `done` or `cancelled`.
    pub status: String,
    pub created_by: String,
    pub created_at: Timestamp,
    /// All of its certificates have been found; before, `certificates` grows.
    pub complete: bool,
    pub certificates: u32,
    /// Nothing was ordered for them so far.
    pub waiting: u32,
    /// An order is under way.
    pub queued: u32,
    pub replaced: u32,
    /// Their orders do not go on by themselves, or none can be made; `why` of each tells.
    pub failed: u32,
    /// Nothing is left to replace: a newer version came by itself, or the certificate was removed.
    pub skipped: u32,
    /// When all that goes on by itself will be replaced, at the pace of the last hour; `None`: nothing tells it, since it is
    /// paused, over, or stands still.
    pub eta: Option<Timestamp>,
    /// It will miss its deadline as things are, or has.
    pub late: bool,
    /// What the forecast said when it was made, nine times in ten.
    pub foreseen: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
}

/// One campaign with its history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CampaignDetail {
    #[serde(flatten)]
    pub campaign: CampaignView,
    /// The earliest first.
    pub burn_down: Vec<BurnDownPoint>,
}

/// What was left at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BurnDownPoint {
    pub at: Timestamp,
    /// Waiting or under way.
    pub remaining: u32,
    pub replaced: u32,
    pub failed: u32,
}

/// A certificate of a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberView {
    pub certificate_id: CertificateId,
    pub tenant: String,
    pub external_id: String,
    pub names: Vec<String>,
    /// The version that is to be replaced.
    pub version_id: VersionId,
    pub serial: String,
    /// `waiting`, `queued`, `replaced`, `failed` or `skipped`.
    pub state: String,
    /// A failure class, or `paused`, `csr_needed`, `cancelled`, `names_left_out`, `unreadable`; of what is skipped
    /// `replaced_before` or `removed`.
    pub why: Option<String>,
    pub detail: Option<String>,
    pub queued_at: Option<Timestamp>,
    /// The latest order.
    pub order_id: Option<OrderId>,
    pub replaced_by: Option<VersionId>,
    pub replaced_by_serial: Option<String>,
}

impl Campaign {
    pub fn view(&self, now: Timestamp) -> CampaignView {
        let Counts { waiting, queued, replaced, failed, skipped } = self.standing.counts;
        let is_over = self.ended_at.is_some();
        CampaignView {
            id: self.id,
            tenant_id: self.tenant,
            tenant: self.tenant_slug.clone(),
            reason: self.reason.clone(),
            selector: self.selector.clone(),
            serials_listed: self.serials,
            new_keys: self.new_keys,
            deadline: self.standing.deadline,
            rate_per_hour: self.standing.per_hour,
            status: self.status.clone(),
            created_by: self.created_by.clone(),
            created_at: self.standing.began_at,
            complete: self.standing.is_complete,
            certificates: self.standing.counts.total(),
            waiting,
            queued,
            replaced,
            failed,
            skipped,
            eta: if is_over { None } else { self.standing.done_at(now) },
            late: !is_over && self.standing.is_late(now),
            foreseen: self.standing.foreseen_at,
            ended_at: self.ended_at,
        }
    }
}

/// Which campaigns.
#[derive(Debug, Clone, Copy, Default)]
struct Wanted {
    id: Option<CampaignId>,
    status: Option<&'static str>,
    only_moving: bool,
    after: Option<Uuid>,
    rows: i64,
}

async fn select(
    conn: &mut PgConnection,
    viewer: Viewer,
    wanted: Wanted,
    now: Timestamp,
) -> Result<Vec<Campaign>, StoreError> {
    let rows = sqlx::query_file!(
        "queries/campaigns_list.sql",
        viewer.tenant_id(),
        wanted.after,
        wanted.rows,
        sql_instant(now),
        wanted.id.map(|id| id.0),
        wanted.status,
        wanted.only_moving
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::of("campaigns.list"))?;
    rows.into_iter()
        .map(|row| {
            let selector: Json<CampaignSelector> = serde_json::from_value(row.selector)
                .map(Json)
                .map_err(|error| StoreError::Inconsistent { table: "campaigns", what: error.to_string() })?;
            let counts = Counts {
                waiting: counted(row.waiting),
                queued: counted(row.queued),
                replaced: counted(row.replaced),
                failed: counted(row.failed),
                skipped: counted(row.skipped),
            };
            let pace = row.past_replaced.zip(row.past_at).and_then(|(then, at)| {
                let within = Timestamp::from(at).until(now);
                let replaced = counts.replaced.saturating_sub(counted(then));
                (within >= SLOT).then_some(Pace { replaced, within })
            });
            Ok(Campaign {
                id: CampaignId(row.campaign_id),
                tenant: row.tenant_id.map(TenantId),
                tenant_slug: row.tenant,
                reason: row.reason,
                selector: selector.0,
                serials: counted(row.serials),
                new_keys: row.new_keys,
                created_by: row.created_by,
                told_late_at: row.told_late_at.map(Timestamp::from),
                ended_at: row.ended_at.map(Timestamp::from),
                standing: Standing {
                    began_at: row.created_at.into(),
                    deadline: row.deadline_at.into(),
                    counts,
                    is_complete: row.found_all_at.is_some(),
                    is_paused: row.status == "paused",
                    per_hour: row.rate_per_hour.map(counted),
                    pace,
                    foreseen_at: row.foreseen_at.map(Timestamp::from),
                },
                status: row.status,
            })
        })
        .collect()
}

/// `None` where it does not exist, or not for this viewer.
pub(super) async fn one(
    conn: &mut PgConnection,
    viewer: Viewer,
    id: CampaignId,
    now: Timestamp,
) -> Result<Option<Campaign>, StoreError> {
    let wanted = Wanted { id: Some(id), rows: 1, ..Wanted::default() };
    Ok(select(conn, viewer, wanted, now).await?.pop())
}

pub async fn find(
    store: &Store,
    viewer: Viewer,
    id: CampaignId,
    now: Timestamp,
) -> Result<Option<Campaign>, StoreError> {
    let mut conn = store.read_as(viewer).await?;
    one(&mut conn, viewer, id, now).await
}

/// Those that have not ended, over all tenants.
pub async fn moving(store: &Store, now: Timestamp) -> Result<Vec<Campaign>, StoreError> {
    let mut conn = store.read_as(Viewer::Operator).await?;
    let wanted = Wanted { only_moving: true, rows: MOVING_MAX, ..Wanted::default() };
    select(&mut conn, Viewer::Operator, wanted, now).await
}

/// The earliest first; `status` is one of [`super::STATUSES`].
pub async fn list(
    store: &Store,
    viewer: Viewer,
    status: Option<&'static str>,
    page: &Page,
    now: Timestamp,
) -> Result<Listing<CampaignView>, StoreError> {
    let mut conn = store.read_as(viewer).await?;
    let wanted = Wanted { status, after: page.after(), rows: page.rows_to_read(), ..Wanted::default() };
    let found = select(&mut conn, viewer, wanted, now).await?;
    Ok(page.listing(found.iter().map(|one| one.view(now)).collect(), |one| one.id.0))
}

/// How a campaign that the viewer has seen has gone down: as many points as a picture needs.
pub async fn burn_down(
    store: &Store,
    viewer: Viewer,
    id: CampaignId,
) -> Result<Vec<BurnDownPoint>, StoreError> {
    let mut conn = store.read_as(viewer).await?;
    let rows = sqlx::query!(
        "select taken_at, waiting, queued, replaced, failed
         from (
             select *, row_number() over (order by slot) as place, count(*) over () as points
             from campaign_samples
             where campaign_id = $1
         ) as sample
         where points <= $2 or place % (points / $2 + 1) = 0 or place in (1, points)
         order by slot",
        id.0,
        POINTS_MAX
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(StoreError::of("campaigns.burn_down"))?;
    let points = rows.into_iter().map(|row| BurnDownPoint {
        at: row.taken_at.into(),
        remaining: counted(row.waiting) + counted(row.queued),
        replaced: counted(row.replaced),
        failed: counted(row.failed),
    });
    Ok(points.collect())
}

/// Members of a campaign that the viewer has seen; `state` is one of [`super::STATES`].
pub async fn members(
    store: &Store,
    viewer: Viewer,
    id: CampaignId,
    state: Option<&'static str>,
    page: &Page,
) -> Result<Listing<MemberView>, StoreError> {
    let mut conn = store.read_as(viewer).await?;
    let rows = sqlx::query_file!(
        "queries/campaigns_members.sql",
        id.0,
        page.after(),
        page.rows_to_read(),
        viewer.tenant_id(),
        state
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(StoreError::of("campaigns.members"))?;
    let members = rows.into_iter().map(|row| MemberView {
        certificate_id: CertificateId(row.certificate_id),
        tenant: row.tenant,
        external_id: row.external_id,
        names: row.names,
        version_id: VersionId(row.order_id),
        serial: row.serial,
        state: row.state,
        why: row.why,
        detail: row.detail,
        queued_at: row.queued_at.map(Timestamp::from),
        order_id: row.latest_order.map(OrderId),
        replaced_by: row.replaced_by.map(VersionId),
        replaced_by_serial: row.replaced_by_serial,
    });
    Ok(page.listing(members.collect(), |one| one.certificate_id.0))
}
