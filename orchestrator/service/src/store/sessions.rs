//! Who is signed in. The cookie's text is 256 random bits, and only its digest is kept.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use issuance::ids::{TenantId, UserId};
use issuance::time::Timestamp;
use rand::Rng as _;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest, Sha256};

use super::events::{Actor, Event, Who};
pub use super::sign_in_ways::SignedInBy;
use super::users::{self, Role};
use super::viewer::Viewer;
use super::work::Work;
use super::{Store, StoreError, sql_instant};

/// A session that nobody uses ends after this.
pub const IDLE_MAX: Duration = Duration::from_hours(2);
/// And any after this.
pub const LIFE_MAX: Duration = Duration::from_hours(12);
/// That one is used is written down no more often than this.
const SEEN_APART: Duration = Duration::from_mins(1);
const RANDOM_BYTES: usize = 32;
const USER_AGENT_CHARS: usize = 200;

/// What the cookie says.
#[derive(Debug, Clone)]
pub struct SessionText(SecretString);

impl SessionText {
    fn draw() -> Self {
        Self(SecretString::from(random()))
    }

    /// As a browser has sent it.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == RANDOM_BYTES).then(|| Self(SecretString::from(text)))
    }

    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    fn sha256(&self) -> Vec<u8> {
        Sha256::digest(self.reveal().as_bytes()).to_vec()
    }
}

fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; RANDOM_BYTES]>())
}

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub struct Session {
    pub user: UserId,
    pub name: String,
    pub role: Role,
    pub viewer: Viewer,
    /// The tenant's slug.
    pub tenant: Option<String>,
    /// What every form of this session carries.
    pub csrf: String,
    /// How the last thing went that was asked for.
    pub notice: Option<String>,
}

/// Signs `user` in, and answers what the cookie says.
pub async fn begin(
    store: &Store,
    now: Timestamp,
    user: UserId,
    name: &str,
    by: SignedInBy,
    address: Option<IpAddr>,
    user_agent: &str,
) -> Result<SessionText, StoreError> {
    let actor = Actor { who: Who::User { id: user.0, name: name.to_owned() }, address, request_id: None };
    let mut work = Work::begin(store, Viewer::Operator, actor, now).await?;
    let text = SessionText::draw();
    let user_agent: String = user_agent.chars().take(USER_AGENT_CHARS).collect();
    sqlx::query!(
        "insert into sessions (sha256, user_id, csrf, created_at, seen_at, ends_at, address, user_agent, signed_in_by)
         values ($1, $2, $3, $4, $4, $5, $6::text::inet, $7, $8)",
        text.sha256(),
        user.0,
        random(),
        sql_instant(now),
        sql_instant(now.after(LIFE_MAX)),
        address.map(|address| address.to_string()),
        user_agent,
        by.as_str()
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("sessions.begin"))?;
    let tenant = sqlx::query_scalar!(
        "update users set last_signed_in_at = $2, failures = 0, failed_at = null where user_id = $1 returning tenant_id",
        user.0,
        sql_instant(now)
    )
    .fetch_one(work.conn())
    .await
    .map_err(StoreError::of("sessions.note"))?;
    sqlx::query!("delete from sessions where ends_at <= $1", sql_instant(now))
        .execute(work.conn())
        .await
        .map_err(StoreError::of("sessions.forget"))?;
    work.tell(Event {
        kind: "user.signed_in",
        tenant: tenant.map(TenantId),
        certificate: None,
        subject: user.to_string(),
        data: serde_json::json!({ "by": by.as_str(), "user_agent": user_agent }),
    })
    .await?;
    work.commit().await?;
    Ok(text)
}

/// Whose session it is, unless it has ended.
pub async fn find(store: &Store, now: Timestamp, text: &SessionText) -> Result<Option<Session>, StoreError> {
    let found = sqlx::query!(
        r#"select users.user_id, users.name, role, users.tenant_id, tenants.slug as "tenant?", csrf, seen_at, notice
           from sessions
           join users on users.user_id = sessions.user_id
           left join tenants on tenants.tenant_id = users.tenant_id
           where sha256 = $1 and ends_at > $2 and seen_at > $3 and disabled_at is null"#,
        text.sha256(),
        sql_instant(now),
        sql_instant(now.before(IDLE_MAX))
    )
    .fetch_optional(store.pool())
    .await
    .map_err(StoreError::of("sessions.find"))?;
    let Some(row) = found else { return Ok(None) };
    if Timestamp::from(row.seen_at) <= now.before(SEEN_APART) {
        sqlx::query!("update sessions set seen_at = $2 where sha256 = $1", text.sha256(), sql_instant(now))
            .execute(store.pool())
            .await
            .map_err(StoreError::of("sessions.see"))?;
    }
    Ok(Some(Session {
        user: UserId(row.user_id),
        name: row.name,
        role: users::role(&row.role)?,
        viewer: row.tenant_id.map_or(Viewer::Operator, |tenant| Viewer::Tenant(TenantId(tenant))),
        tenant: row.tenant,
        csrf: row.csrf,
        notice: row.notice,
    }))
}

/// Keeps how something went until the next page is shown; `None` forgets it.
pub async fn keep_notice(store: &Store, text: &SessionText, notice: Option<&str>) -> Result<(), StoreError> {
    sqlx::query!("update sessions set notice = $2 where sha256 = $1", text.sha256(), notice)
        .execute(store.pool())
        .await
        .map_err(StoreError::of("sessions.keep_notice"))?;
    Ok(())
}

/// Signs out, here.
pub async fn end(
    store: &Store,
    now: Timestamp,
    text: &SessionText,
    session: &Session,
    address: Option<IpAddr>,
) -> Result<(), StoreError> {
    let who = Who::User { id: session.user.0, name: session.name.clone() };
    let actor = Actor { who, address, request_id: None };
    let mut work = Work::begin(store, Viewer::Operator, actor, now).await?;
    sqlx::query!("delete from sessions where sha256 = $1", text.sha256())
        .execute(work.conn())
        .await
        .map_err(StoreError::of("sessions.end"))?;
    let tenant = match session.viewer {
        Viewer::Operator => None,
        Viewer::Tenant(tenant) => Some(tenant),
    };
    work.tell(Event {
        kind: "user.signed_out",
        tenant,
        certificate: None,
        subject: session.user.to_string(),
        data: serde_json::json!({}),
    })
    .await?;
    work.commit().await
}
