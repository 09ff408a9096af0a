//! People whom a provider of identities vouches for: who of the users here each of them is.

use std::net::IpAddr;

use issuance::ids::UserId;
use issuance::time::Timestamp;
use serde_json::json;

use super::events::{Actor, Event, Who};
use super::users::{self, Role, UserView};
use super::viewer::Viewer;
use super::work::Work;
use super::{Store, StoreError, sql_instant};

/// Somebody as the provider knows it.
#[derive(Debug, Clone, Copy)]
pub struct Vouched<'a> {
    pub issuer: &'a str,
    pub subject: &'a str,
    pub name: &'a str,
    /// What its groups make of it, and of whom; `None`: nothing.
    pub role: Option<(Role, Viewer)>,
    /// It becomes a user where nobody has its name.
    pub may_be_made: bool,
}

/// Who it is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    User {
        id: UserId,
        name: String,
    },
    /// Nobody, and nobody is made.
    Unknown,
    /// The name is somebody's who signs in with a password alone.
    ByPasswordAlone,
    /// The name is somebody's who is another person at the provider.
    Another,
    Disabled,
    /// None of its groups has a role here.
    NoRole,
}

impl Store {
    /// Takes note that a sign-in has come back; whether it is the first time. What cannot come back is forgotten.
    pub async fn note_oidc_return(
        &self,
        state_sha256: &[u8; 32],
        now: Timestamp,
        ends_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let noted = sqlx::query_scalar!(
            r#"with old as (delete from oidc_returns where ends_at <= $3)
               insert into oidc_returns (state_sha256, ends_at) values ($1, $2)
               on conflict do nothing
               returning true as "noted!""#,
            state_sha256.as_slice(),
            sql_instant(ends_at),
            sql_instant(now)
        )
        .fetch_optional(self.pool())
        .await
        .map_err(StoreError::of("oidc_users.note_return"))?;
        Ok(noted.is_some())
    }
}

struct Row {
    id: UserId,
    name: String,
    by_oidc: bool,
    is_bound: bool,
    is_same: bool,
    is_disabled: bool,
    follows_groups: bool,
}

/// Finds the user that somebody is, by what the provider calls it for ever, or the first time by its name; makes one where
/// that is wanted; and gives one that was made so the role that its groups have now.
pub async fn find_or_make(
    store: &Store,
    now: Timestamp,
    vouched: Vouched<'_>,
    address: Option<IpAddr>,
) -> Result<Found, StoreError> {
    let actor = Actor { who: Who::Service("oidc"), address, request_id: None };
    let mut work = Work::begin(store, Viewer::Operator, actor, now).await?;
    let Some(row) = hold(&mut work, &vouched).await? else {
        return match (vouched.may_be_made, vouched.role) {
            (false, _) => Ok(Found::Unknown),
            (true, None) => Ok(Found::NoRole),
            (true, Some((role, holder))) => make(work, &vouched, role, holder).await,
        };
    };
    if row.is_bound && !row.is_same {
        return Ok(Found::Another);
    }
    if !row.by_oidc {
        return Ok(Found::ByPasswordAlone);
    }
    if row.is_disabled {
        return Ok(Found::Disabled);
    }
    if !row.is_bound {
        let before = users::again(&mut work, row.id).await?;
        bind(&mut work, row.id, &vouched).await?;
        let after = users::again(&mut work, row.id).await?;
        work.tell(told("user.changed", Some(&before), &after)).await?;
    }
    if row.follows_groups {
        match vouched.role {
            // The session it may still have ends too: its groups have taken it out.
            None => {
                users::sign_out(&mut work, row.id).await?;
                work.commit().await?;
                return Ok(Found::NoRole);
            }
            Some((role, holder)) => follow(&mut work, row.id, role, holder).await?,
        }
    }
    work.commit().await?;
    Ok(Found::User { id: row.id, name: row.name })
}

/// Whoever is bound to the subject comes before whoever has the name.
async fn hold(work: &mut Work, vouched: &Vouched<'_>) -> Result<Option<Row>, StoreError> {
    let found = sqlx::query!(
        r#"select user_id, name, by_oidc, oidc_subject is not null as "is_bound!",
               (oidc_issuer = $1 and oidc_subject = $2) is true as "is_same!", disabled_at is not null as "is_disabled!",
               follows_groups
           from users
           where (oidc_issuer = $1 and oidc_subject = $2) or lower(name) = lower($3)
           order by (oidc_issuer = $1 and oidc_subject = $2) is true desc
           limit 1
           for no key update"#,
        vouched.issuer,
        vouched.subject,
        vouched.name
    )
    .fetch_optional(work.conn())
    .await
    .map_err(StoreError::of("oidc_users.hold"))?;
    Ok(found.map(|row| Row {
        id: UserId(row.user_id),
        name: row.name,
        by_oidc: row.by_oidc,
        is_bound: row.is_bound,
        is_same: row.is_same,
        is_disabled: row.is_disabled,
        follows_groups: row.follows_groups,
    }))
}

async fn make(
    mut work: Work,
    vouched: &Vouched<'_>,
    role: Role,
    holder: Viewer,
) -> Result<Found, StoreError> {
    let new = users::NewUser { name: vouched.name, role, sign_in: users::SignInBy::Oidc, password: None };
    // Somebody was made by this name a moment ago: the next time it is found.
    let Some(made) = users::create(&mut work, holder, new).await? else { return Ok(Found::Unknown) };
    bind(&mut work, made.id, vouched).await?;
    sqlx::query!("update users set follows_groups = true where user_id = $1", made.id.0)
        .execute(work.conn())
        .await
        .map_err(StoreError::of("oidc_users.make"))?;
    let made = users::again(&mut work, made.id).await?;
    work.tell(told("user.created", None, &made)).await?;
    work.commit().await?;
    Ok(Found::User { id: made.id, name: made.name })
}

async fn bind(work: &mut Work, id: UserId, vouched: &Vouched<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "update users set oidc_issuer = $2, oidc_subject = $3, version = version + 1 where user_id = $1",
        id.0,
        vouched.issuer,
        vouched.subject
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("oidc_users.bind"))?;
    Ok(())
}

/// Makes of it what its groups say now. What it was signed in as before ends with that.
async fn follow(work: &mut Work, id: UserId, role: Role, holder: Viewer) -> Result<(), StoreError> {
    let before = users::again(work, id).await?;
    let tenant = holder.tenant_id();
    if before.role == role && before.tenant_id.map(|id| id.0) == tenant {
        return Ok(());
    }
    sqlx::query!(
        "update users set role = $2, tenant_id = $3, version = version + 1 where user_id = $1",
        id.0,
        role.as_str(),
        tenant
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("oidc_users.follow"))?;
    users::sign_out(work, id).await?;
    let after = users::again(work, id).await?;
    work.tell(told("user.changed", Some(&before), &after)).await
}

fn told(kind: &'static str, before: Option<&UserView>, after: &UserView) -> Event {
    Event {
        kind,
        tenant: after.tenant_id,
        certificate: None,
        subject: after.id.to_string(),
        data: json!({ "before": before, "after": after, "password_changed": false }),
    }
}
