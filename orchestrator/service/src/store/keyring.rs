//! All keys of the API: who holds which, what each opens, and when it was last used.

use std::time::Duration;

use issuance::ids::{ApiKeyId, TenantId};
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Uuid;
use utoipa::ToSchema;

use super::api_keys::Token;
use super::page::{Listing, Page};
use super::scope::{Scope, Scopes};
use super::viewer::Viewer;
use super::work::Work;
use super::{Store, StoreError, sql_instant};
use crate::config::Cidr;

/// Keys of one principal that are good at a time: the old one and its successor.
const GOOD_AT_A_TIME: i64 = 2;

/// A key, without what opens the door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiKeyView {
    pub id: ApiKeyId,
    /// `null`: the operator's.
    pub tenant_id: Option<TenantId>,
    /// The tenant's slug.
    pub tenant: Option<String>,
    pub name: String,
    /// The beginning and the end of its text: enough to tell keys apart.
    pub shown: String,
    #[schema(value_type = Vec<String>)]
    pub scopes: Vec<Scope>,
    /// The labels of the certificates that it may have, of an agent's key; `null`: it may have all of its holder's.
    pub selector: Option<Value>,
    /// From where it may be used; none: from anywhere.
    pub cidrs: Vec<String>,
    /// `null`: it is good until it is revoked.
    pub expires_at: Option<Timestamp>,
    /// To a minute. `null`: never.
    pub last_used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub created_at: Timestamp,
    /// The name of the key that it was made with.
    pub created_by: String,
    /// One up at each change; the `ETag` of it.
    pub version: i64,
}

impl ApiKeyView {
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| at > now)
    }
}

/// What a key is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTerms {
    pub name: String,
    pub scopes: Vec<Scope>,
    /// Labels, as the row has them; never changes.
    pub selector: Option<Value>,
    pub cidrs: Vec<Cidr>,
    pub expires_at: Option<Timestamp>,
}

/// Why a key was not replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationRefusal {
    /// It opens nothing any more.
    NotGood,
    /// It and its successor are both good.
    UnderWay,
}

/// Which keys; a field that is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// A tenant's slug.
    pub tenant: Option<String>,
    /// Neither revoked nor expired.
    pub good: Option<bool>,
}

pub async fn list(
    store: &Store,
    viewer: Viewer,
    now: Timestamp,
    filter: &KeyFilter,
    page: &Page,
) -> Result<Listing<ApiKeyView>, StoreError> {
    let mut conn = store.read_as(viewer).await?;
    let found = select(&mut conn, viewer, now, None, filter, page.after(), page.rows_to_read()).await?;
    Ok(page.listing(found, |key| key.id.0))
}

/// `None` where it does not exist, or not for this viewer.
pub async fn find(
    store: &Store,
    viewer: Viewer,
    now: Timestamp,
    id: ApiKeyId,
) -> Result<Option<ApiKeyView>, StoreError> {
    let mut conn = store.read_as(viewer).await?;
    let found = select(&mut conn, viewer, now, Some(id), &KeyFilter::default(), None, 1).await?;
    Ok(found.into_iter().next())
}

/// The key as it is now, and until this work ends; with it all of its principal, so that two rotations at the same
/// moment are one after the other.
pub async fn hold(work: &mut Work, id: ApiKeyId) -> Result<Option<ApiKeyView>, StoreError> {
    let (viewer, at) = (work.viewer(), work.at());
    sqlx::query!(
        "select key_id from api_keys
         where principal_id = (
                 select principal_id from api_keys where key_id = $1 and ($2::uuid is null or tenant_id = $2)
             )
         order by key_id
         for no key update",
        id.0,
        viewer.tenant_id()
    )
    .fetch_all(work.conn())
    .await
    .map_err(StoreError::of("keyring.hold"))?;
    let found = select(work.conn(), viewer, at, Some(id), &KeyFilter::default(), None, 1).await?;
    Ok(found.into_iter().next())
}

/// Makes a key for `holder`, and answers its text: the only time that is known.
pub async fn create(
    work: &mut Work,
    holder: Viewer,
    terms: &KeyTerms,
) -> Result<(ApiKeyView, Token), StoreError> {
    let token = token_for(holder, terms);
    let view = insert(work, holder, terms, &token, None).await?;
    Ok((view, token))
}

/// Gives a key that this work holds other terms; its scopes only where `scopes` are given.
pub async fn change(
    work: &mut Work,
    id: ApiKeyId,
    terms: &KeyTerms,
    scopes: Option<&[Scope]>,
) -> Result<ApiKeyView, StoreError> {
    let scopes: Option<Vec<String>> = scopes.map(|scopes| scopes.iter().map(ToString::to_string).collect());
    let cidrs: Vec<String> = terms.cidrs.iter().map(ToString::to_string).collect();
    let tenant = work.viewer().tenant_id();
    sqlx::query!(
        "update api_keys
         set name = $3, scopes = coalesce($4, scopes), cidrs = $5, expires_at = $6, version = version + 1
         where key_id = $1 and ($2::uuid is null or tenant_id = $2)",
        id.0,
        tenant,
        terms.name,
        scopes.as_deref(),
        &cidrs,
        terms.expires_at.map(sql_instant)
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("keyring.change"))?;
    again(work, id).await
}

/// It opens nothing from now on.
pub async fn revoke(work: &mut Work, id: ApiKeyId) -> Result<ApiKeyView, StoreError> {
    let (at, tenant) = (sql_instant(work.at()), work.viewer().tenant_id());
    sqlx::query!(
        "update api_keys set revoked_at = $3, version = version + 1
         where key_id = $1 and ($2::uuid is null or tenant_id = $2) and revoked_at is null",
        id.0,
        tenant,
        at
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("keyring.revoke"))?;
    again(work, id).await
}

/// Whether the operator has a good key beside this one.
pub async fn operator_has_another(work: &mut Work, id: ApiKeyId) -> Result<bool, StoreError> {
    let at = sql_instant(work.at());
    sqlx::query_scalar!(
        r#"select exists (
               select from api_keys
               where tenant_id is null and key_id <> $1 and revoked_at is null
                   and (expires_at is null or expires_at > $2)
                   and scopes && array['*', 'keys:manage']
           ) as "exists!""#,
        id.0,
        at
    )
    .fetch_one(work.conn())
    .await
    .map_err(StoreError::of("keyring.operator_has_another"))
}

/// A successor for a key that this work holds: the same name and the same terms, and a life as long as the old one's was.
/// The old one ends after `overlap`, or when it would have ended anyhow.
pub async fn rotate(
    work: &mut Work,
    old: &ApiKeyView,
    overlap: Duration,
) -> Result<Result<(ApiKeyView, Token), RotationRefusal>, StoreError> {
    let at = work.at();
    if !old.is_good(at) {
        return Ok(Err(RotationRefusal::NotGood));
    }
    let principal = sqlx::query!(
        r#"select principal_id,
               (select count(*) from api_keys other
                where other.principal_id = one.principal_id and other.revoked_at is null
                    and (other.expires_at is null or other.expires_at > $2)) as "good!"
           from api_keys one where key_id = $1"#,
        old.id.0,
        sql_instant(at)
    )
    .fetch_one(work.conn())
    .await
    .map_err(StoreError::of("keyring.principal"))?;
    if principal.good >= GOOD_AT_A_TIME {
        return Ok(Err(RotationRefusal::UnderWay));
    }
    let ends_at = old.expires_at.into_iter().chain([at.after(overlap)]).min();
    sqlx::query!(
        "update api_keys set expires_at = $2, version = version + 1 where key_id = $1",
        old.id.0,
        ends_at.map(sql_instant)
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("keyring.rotate"))?;
    let holder = old.tenant_id.map_or(Viewer::Operator, Viewer::Tenant);
    let scopes = sqlx::query_scalar!("select scopes from api_keys where key_id = $1", old.id.0)
        .fetch_one(work.conn())
        .await
        .map_err(StoreError::of("keyring.scopes"))?;
    let terms = KeyTerms {
        name: old.name.clone(),
        scopes: old.scopes.clone(),
        selector: old.selector.clone(),
        cidrs: old.cidrs.iter().filter_map(|block| block.parse().ok()).collect(),
        expires_at: old.expires_at.map(|ends| at.after(old.created_at.until(ends))),
    };
    let token = token_for(holder, &terms);
    let mut view = insert(work, holder, &terms, &token, principal.principal_id).await?;
    if scopes.iter().any(|word| word == Scopes::EVERYTHING) {
        // What opens everything goes on to, also what later releases bring.
        sqlx::query!("update api_keys set scopes = $2 where key_id = $1", view.id.0, &scopes)
            .execute(work.conn())
            .await
            .map_err(StoreError::of("keyring.scopes"))?;
        view = again(work, view.id).await?;
    }
    Ok(Ok((view, token)))
}

fn token_for(holder: Viewer, terms: &KeyTerms) -> Token {
    if terms.selector.is_some() { Token::for_agent() } else { Token::generate(holder) }
}

async fn insert(
    work: &mut Work,
    holder: Viewer,
    terms: &KeyTerms,
    token: &Token,
    principal: Option<Uuid>,
) -> Result<ApiKeyView, StoreError> {
    let (id, at) = (work.mint().uuid(), sql_instant(work.at()));
    let created_by = work.actor().who.name().to_owned();
    let scopes: Vec<String> = terms.scopes.iter().map(ToString::to_string).collect();
    let cidrs: Vec<String> = terms.cidrs.iter().map(ToString::to_string).collect();
    sqlx::query!(
        "insert into api_keys (
             key_id, principal_id, tenant_id, name, sha256, shown, scopes, cidrs, expires_at, created_at, created_by,
             selector
         )
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        id,
        principal.unwrap_or(id),
        holder.tenant_id(),
        terms.name,
        token.sha256(),
        token.shown(),
        &scopes,
        &cidrs,
        terms.expires_at.map(sql_instant),
        at,
        created_by,
        terms.selector,
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("keyring.insert"))?;
    again(work, ApiKeyId(id)).await
}

async fn again(work: &mut Work, id: ApiKeyId) -> Result<ApiKeyView, StoreError> {
    let (viewer, at) = (work.viewer(), work.at());
    let found = select(work.conn(), viewer, at, Some(id), &KeyFilter::default(), None, 1).await?;
    found
        .into_iter()
        .next()
        .ok_or_else(|| StoreError::Inconsistent { table: "api_keys", what: format!("{id} is gone") })
}

async fn select(
    conn: &mut PgConnection,
    viewer: Viewer,
    now: Timestamp,
    id: Option<ApiKeyId>,
    filter: &KeyFilter,
    after: Option<Uuid>,
    rows: i64,
) -> Result<Vec<ApiKeyView>, StoreError> {
    let found = sqlx::query!(
        r#"select key_id, api_keys.tenant_id, tenants.slug as "tenant?", api_keys.name, shown, scopes, selector, cidrs,
               expires_at, last_used_at, revoked_at, api_keys.created_at, created_by, api_keys.version
           from api_keys
           left join tenants on tenants.tenant_id = api_keys.tenant_id
           where ($1::uuid is null or api_keys.tenant_id = $1)
               and ($2::uuid is null or key_id = $2)
               and ($3::text is null or tenants.slug = $3)
               and ($4::boolean is null
                   or (revoked_at is null and (expires_at is null or expires_at > $5)) = $4)
               and ($6::uuid is null or key_id > $6)
           order by key_id
           limit $7"#,
        viewer.tenant_id(),
        id.map(|id| id.0),
        filter.tenant.as_deref(),
        filter.good,
        sql_instant(now),
        after,
        rows
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::of("keyring.list"))?;
    let views = found.into_iter().map(|row| {
        let holder = row.tenant_id.map_or(Viewer::Operator, |tenant| Viewer::Tenant(TenantId(tenant)));
        ApiKeyView {
            id: ApiKeyId(row.key_id),
            tenant_id: row.tenant_id.map(TenantId),
            tenant: row.tenant,
            name: row.name,
            shown: row.shown,
            scopes: Scopes::of_row(&row.scopes, holder).iter().collect(),
            selector: row.selector,
            cidrs: row.cidrs,
            expires_at: row.expires_at.map(Timestamp::from),
            last_used_at: row.last_used_at.map(Timestamp::from),
            revoked_at: row.revoked_at.map(Timestamp::from),
            created_at: row.created_at.into(),
            created_by: row.created_by,
            version: row.version,
        }
    });
    Ok(views.collect())
}

impl Store {
    /// Writes down that a key was used, unless that was written within `apart`.
    pub async fn note_use(&self, key: ApiKeyId, at: Timestamp, apart: Duration) -> Result<(), StoreError> {
        sqlx::query!(
            "update api_keys set last_used_at = $2
             where key_id = $1 and (last_used_at is null or last_used_at <= $3)",
            key.0,
            sql_instant(at),
            sql_instant(at.before(apart))
        )
        .execute(self.pool())
        .await
        .map_err(StoreError::of("keyring.note_use"))?;
        Ok(())
    }
}
