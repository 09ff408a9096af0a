//! People who sign in, and what each of them may do.

use std::fmt;
use std::time::Duration;

use issuance::ids::{TenantId, UserId};
use issuance::time::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use sqlx::types::Uuid;
use utoipa::ToSchema;

use super::page::{Listing, Page};
use super::scope::{Scope, Scopes};
pub use super::sign_in_ways::SignInBy;
use super::viewer::Viewer;
use super::work::Work;
use super::{Store, StoreError, sql_instant};

/// Wrong passwords in a row that cost nothing but the time.
const FAILURES_FREE: i32 = 5;
/// How long a name is not heard after one more, doubled with each, up to [`BARRED_MAX`].
const BARRED: Duration = Duration::from_secs(15);
const BARRED_MAX: Duration = Duration::from_mins(15);

/// What somebody may do, of the operator or of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything; who may sign in, too.
    Owner,
    /// Everything about names and certificates.
    Operator,
    /// Looks, and changes nothing.
    Viewer,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Owner, Self::Operator, Self::Viewer];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// What it opens. Private keys are for programs: no role shows them.
    pub fn scopes(self, viewer: Viewer) -> Scopes {
        Scopes::of(Scope::ALL.into_iter().filter(|scope| self.opens(*scope)), viewer)
    }

    /// What to tell somebody whose role does not open it: which ones do.
    pub fn insufficient(self, viewer: Viewer, scope: Scope) -> String {
        let able = Self::ALL.into_iter().rev().filter(|role| role.scopes(viewer).contains(scope));
        let able: Vec<&str> = able.map(Self::as_str).collect();
        let who = match able.as_slice() {
            [] => "nobody who is signed in can".to_owned(),
            able => format!("an {} can", able.join(" or ")),
        };
        format!("your role {self} does not allow this; {who}")
    }

    fn opens(self, scope: Scope) -> bool {
        match scope {
            Scope::BundlesRead => false,
            Scope::HostnamesRead
            | Scope::CertificatesRead
            | Scope::OrdersRead
            | Scope::AuthorizationsRead
            | Scope::HeadroomRead
            | Scope::EventsRead
            | Scope::MetricsRead => true,
            Scope::HostnamesWrite
            | Scope::CertificatesWrite
            | Scope::CertificatesRevoke
            | Scope::AuthorizationsManage
            | Scope::ImportsWrite
            | Scope::WebhooksManage
            | Scope::DeploymentsManage
            | Scope::DnsManage
            | Scope::AccountsManage
            | Scope::TenantsManage => self != Self::Viewer,
            Scope::KeysManage => self == Self::Owner,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Somebody who may sign in. Never the password, nor anything made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserView {
    pub id: UserId,
    /// `null`: of the operator.
    pub tenant_id: Option<TenantId>,
    /// The tenant's slug.
    pub tenant: Option<String>,
    /// What is typed in to sign in; upper and lower case are the same.
    pub name: String,
    pub role: Role,
    pub sign_in: SignInBy,
    /// What the provider of identities calls it for ever; `null` before it has first come from there.
    pub subject: Option<String>,
    /// Role and tenant are what its groups at the provider say, each time it signs in.
    pub follows_groups: bool,
    /// Since when nobody may sign in by this name.
    pub disabled_at: Option<Timestamp>,
    pub last_signed_in_at: Option<Timestamp>,
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// One up at each change; the `ETag` of it.
    pub version: i64,
}

/// What a user is to be.
#[derive(Debug, Clone)]
pub struct UserTerms {
    pub role: Role,
    pub disabled: bool,
    pub sign_in: SignInBy,
    /// A PHC string; `None`: the one it has.
    pub password: Option<String>,
}

/// Somebody who is to sign in.
#[derive(Debug, Clone, Copy)]
pub struct NewUser<'a> {
    pub name: &'a str,
    pub role: Role,
    pub sign_in: SignInBy,
    /// A PHC string, for whoever signs in with a password.
    pub password: Option<&'a str>,
}

/// What is known of a name that somebody signs in by.
#[derive(Debug)]
pub struct Credentials {
    pub id: UserId,
    pub name: String,
    /// A PHC string; `None`: nobody signs in so.
    pub password: Option<SecretString>,
    pub disabled: bool,
    /// Not heard before; `None`: heard.
    pub barred_until: Option<Timestamp>,
}

pub async fn list(
    store: &Store,
    viewer: Viewer,
    name: Option<&str>,
    page: &Page,
) -> Result<Listing<UserView>, StoreError> {
    let mut conn = store.read_as(viewer).await?;
    let found = select(&mut conn, viewer, None, name, page.after(), page.rows_to_read()).await?;
    Ok(page.listing(found, |user| user.id.0))
}

/// `None` where it does not exist, or not for this viewer.
pub async fn find(store: &Store, viewer: Viewer, id: UserId) -> Result<Option<UserView>, StoreError> {
    let mut conn = store.read_as(viewer).await?;
    Ok(select(&mut conn, viewer, Some(id), None, None, 1).await?.into_iter().next())
}

/// The user as it is now, and until this work ends.
pub async fn hold(work: &mut Work, id: UserId) -> Result<Option<UserView>, StoreError> {
    let viewer = work.viewer();
    sqlx::query!(
        "select user_id from users where user_id = $1 and ($2::uuid is null or tenant_id = $2) for no key update",
        id.0,
        viewer.tenant_id()
    )
    .fetch_optional(work.conn())
    .await
    .map_err(StoreError::of("users.hold"))?;
    Ok(select(work.conn(), viewer, Some(id), None, None, 1).await?.into_iter().next())
}

/// `None` where somebody has the name already.
pub async fn create(
    work: &mut Work,
    holder: Viewer,
    new: NewUser<'_>,
) -> Result<Option<UserView>, StoreError> {
    let (id, at) = (work.mint().uuid(), sql_instant(work.at()));
    let created_by = work.actor().who.name().to_owned();
    let made = sqlx::query!(
        "insert into users (user_id, tenant_id, name, role, password, by_oidc, created_at, created_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict do nothing",
        id,
        holder.tenant_id(),
        new.name,
        new.role.as_str(),
        new.password,
        new.sign_in.oidc(),
        at,
        created_by
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("users.create"))?;
    if made.rows_affected() == 0 {
        return Ok(None);
    }
    again(work, UserId(id)).await.map(Some)
}

/// Changes one that this work holds. One that is disabled, or has another password, role or way to sign in, is signed in
/// nowhere. Whoever gives a role or a password takes it out of the
/// hands of the provider's groups.
pub async fn change(work: &mut Work, before: &UserView, terms: &UserTerms) -> Result<UserView, StoreError> {
    let (at, tenant) = (sql_instant(work.at()), work.viewer().tenant_id());
    sqlx::query!(
        "update users
         set role = $3, password = case when $7 then coalesce($4, password) end, version = version + 1,
             disabled_at = case when $5 then coalesce(disabled_at, $6) end,
             by_oidc = $8,
             oidc_issuer = case when $8 then oidc_issuer end,
             oidc_subject = case when $8 then oidc_subject end,
             follows_groups = follows_groups and $8 and not $7 and role = $3,
             failures = case when $4::text is null then failures else 0 end,
             failed_at = case when $4::text is null then failed_at end
         where user_id = $1 and ($2::uuid is null or tenant_id = $2)",
        before.id.0,
        tenant,
        terms.role.as_str(),
        terms.password,
        terms.disabled,
        at,
        terms.sign_in.password(),
        terms.sign_in.oidc()
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("users.change"))?;
    let is_another = terms.role != before.role || terms.sign_in != before.sign_in;
    if terms.disabled || terms.password.is_some() || is_another {
        sign_out(work, before.id).await?;
    }
    again(work, before.id).await
}

/// Ends every session of somebody.
pub(super) async fn sign_out(work: &mut Work, id: UserId) -> Result<(), StoreError> {
    sqlx::query!("delete from sessions where user_id = $1", id.0)
        .execute(work.conn())
        .await
        .map_err(StoreError::of("users.sign_out"))?;
    Ok(())
}

/// Whether the operator has another owner who may sign in; with a password, where `by_password` is asked for.
pub async fn another_owner(work: &mut Work, id: UserId, by_password: bool) -> Result<bool, StoreError> {
    sqlx::query_scalar!(
        r#"select exists (
               select from users
               where tenant_id is null and role = 'owner' and disabled_at is null and user_id <> $1
                   and (password is not null or not $2)
           ) as "exists!""#,
        id.0,
        by_password
    )
    .fetch_one(work.conn())
    .await
    .map_err(StoreError::of("users.another_owner"))
}

pub(super) async fn again(work: &mut Work, id: UserId) -> Result<UserView, StoreError> {
    let viewer = work.viewer();
    let found = select(work.conn(), viewer, Some(id), None, None, 1).await?;
    found
        .into_iter()
        .next()
        .ok_or_else(|| StoreError::Inconsistent { table: "users", what: format!("{id} is gone") })
}

async fn select(
    conn: &mut PgConnection,
    viewer: Viewer,
    id: Option<UserId>,
    name: Option<&str>,
    after: Option<Uuid>,
    rows: i64,
) -> Result<Vec<UserView>, StoreError> {
    let found = sqlx::query!(
        r#"select user_id, users.tenant_id, tenants.slug as "tenant?", users.name, role, disabled_at, last_signed_in_at,
               users.created_at, created_by, users.version, password is not null as "by_password!", by_oidc, oidc_subject,
               follows_groups
           from users
           left join tenants on tenants.tenant_id = users.tenant_id
           where ($1::uuid is null or users.tenant_id = $1)
               and ($2::uuid is null or user_id = $2)
               and ($3::text is null or lower(users.name) = lower($3))
               and ($4::uuid is null or user_id > $4)
           order by user_id
           limit $5"#,
        viewer.tenant_id(),
        id.map(|id| id.0),
        name,
        after,
        rows
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::of("users.list"))?;
    let views = found.into_iter().map(|row| {
        Ok(UserView {
            id: UserId(row.user_id),
            tenant_id: row.tenant_id.map(TenantId),
            tenant: row.tenant,
            name: row.name,
            role: role(&row.role)?,
            sign_in: SignInBy::of(row.by_password, row.by_oidc),
            subject: row.oidc_subject,
            follows_groups: row.follows_groups,
            disabled_at: row.disabled_at.map(Timestamp::from),
            last_signed_in_at: row.last_signed_in_at.map(Timestamp::from),
            created_at: row.created_at.into(),
            created_by: row.created_by,
            version: row.version,
        })
    });
    views.collect()
}

pub(super) fn role(text: &str) -> Result<Role, StoreError> {
    Role::parse(text)
        .ok_or_else(|| StoreError::Inconsistent { table: "users", what: format!("no role {text}") })
}

impl Store {
    /// Whether anybody may sign in at all.
    pub async fn has_users(&self) -> Result<bool, StoreError> {
        sqlx::query_scalar!(r#"select exists (select from users) as "exists!""#)
            .fetch_one(self.pool())
            .await
            .map_err(StoreError::of("users.any"))
    }

    /// Whoever signs in by `name`.
    pub async fn credentials(&self, now: Timestamp, name: &str) -> Result<Option<Credentials>, StoreError> {
        let found = sqlx::query!(
            "select user_id, name, password, disabled_at, failures, failed_at from users where lower(name) = lower($1)",
            name
        )
        .fetch_optional(self.pool())
        .await
        .map_err(StoreError::of("users.credentials"))?;
        Ok(found.map(|row| Credentials {
            id: UserId(row.user_id),
            name: row.name,
            password: row.password.map(SecretString::from),
            disabled: row.disabled_at.is_some(),
            barred_until: row
                .failed_at
                .map(|at| Timestamp::from(at).after(barred_for(row.failures)))
                .filter(|until| *until > now),
        }))
    }

    pub async fn note_wrong_password(&self, user: UserId, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query!(
            "update users set failures = least(failures + 1, 1000), failed_at = $2 where user_id = $1",
            user.0,
            sql_instant(at)
        )
        .execute(self.pool())
        .await
        .map_err(StoreError::of("users.note_wrong_password"))?;
        Ok(())
    }
}

/// How long a name is not heard after so many wrong passwords in a row.
fn barred_for(failures: i32) -> Duration {
    match u32::try_from(failures - FAILURES_FREE) {
        Err(_) => Duration::ZERO,
        Ok(beyond) => BARRED.saturating_mul(1 << beyond.min(16)).min(BARRED_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_guesses_is_heard_ever_more_seldom() {
        let all: Vec<u64> =
            [0, 4, 5, 6, 10, 11, 1_000].into_iter().map(|n| barred_for(n).as_secs()).collect();
        assert_eq!(all, [0, 0, 15, 30, 480, 900, 900]);
    }

    #[test]
    fn no_role_shows_private_keys_and_only_owners_let_people_in() {
        for role in Role::ALL {
            let scopes = role.scopes(Viewer::Operator);
            assert!(!scopes.contains(Scope::BundlesRead), "{role}");
            assert_eq!(scopes.contains(Scope::KeysManage), role == Role::Owner);
            assert_eq!(scopes.contains(Scope::AuthorizationsManage), role != Role::Viewer);
            let of_tenant = role.scopes(Viewer::Tenant(TenantId(Uuid::nil())));
            assert!(of_tenant.iter().all(Scope::is_for_tenants), "{role}");
        }
    }
}
