//! Labels of our own zone, and who may write below them (the acme-dns protocol).

use rand::RngCore as _;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use sqlx::types::Uuid;

use super::work::Work;
use super::{Store, StoreError, sql_instant};

/// Of the password: what is drawn, before it is written in hexadecimal.
const PASSWORD_BYTES: usize = 20;

/// A label with its key, as it is shown once.
#[derive(Debug)]
pub struct NewDelegation {
    pub subdomain: String,
    pub username: Uuid,
    pub password: SecretString,
}

/// Who asks to write.
#[derive(Debug)]
pub struct Credentials {
    pub username: Uuid,
    pub password: SecretString,
}

/// A delegation whose credentials were right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    pub subdomain: String,
    /// CIDR blocks; empty: from anywhere.
    pub allow_from: Vec<String>,
}

fn hash(password: &SecretString) -> Vec<u8> {
    Sha256::digest(password.expose_secret()).to_vec()
}

/// Makes a label that nobody has. `allow_from` are CIDR blocks.
pub async fn register(work: &mut Work, allow_from: &[String]) -> Result<NewDelegation, StoreError> {
    let now = work.at();
    let mut drawn = [0; PASSWORD_BYTES];
    rand::rng().fill_bytes(&mut drawn);
    let password: String = drawn.iter().map(|byte| format!("{byte:02x}")).collect();
    let blocks = allow_from.to_vec();
    let made = NewDelegation {
        subdomain: Uuid::new_v4().to_string(),
        username: Uuid::new_v4(),
        password: SecretString::from(password),
    };
    sqlx::query!(
        "insert into dns_delegations (subdomain, username, password_sha256, allow_from, created_at)
         values ($1, $2, $3, $4, $5)",
        made.subdomain,
        made.username,
        hash(&made.password),
        &blocks,
        sql_instant(now)
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("dns_delegations.register"))?;
    Ok(made)
}

/// The label that these open, if they are right.
pub async fn find(store: &Store, credentials: &Credentials) -> Result<Option<Delegation>, StoreError> {
    let found = sqlx::query!(
        "select subdomain, allow_from from dns_delegations where username = $1 and password_sha256 = $2",
        credentials.username,
        hash(&credentials.password)
    )
    .fetch_optional(store.pool())
    .await
    .map_err(StoreError::of("dns_delegations.find"))?;
    Ok(found.map(|row| Delegation { subdomain: row.subdomain, allow_from: row.allow_from }))
}

/// Writes a value in the place of the older of the two; one that stands there already becomes the newer.
pub async fn write(work: &mut Work, subdomain: &str, value: &str) -> Result<(), StoreError> {
    let now = work.at();
    sqlx::query_file!("queries/dns_delegated_texts_write.sql", subdomain, value, sql_instant(now))
        .execute(work.conn())
        .await
        .map(drop)
        .map_err(StoreError::of("dns_delegations.write"))
}

/// What stands below a label, the older one first.
pub async fn values(work: &mut Work, subdomain: &str) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar!(
        "select value from dns_delegated_texts where subdomain = $1 order by updated_at",
        subdomain
    )
    .fetch_all(work.conn())
    .await
    .map_err(StoreError::of("dns_delegations.values"))
}

/// What stands at `owner`, whose label in our zone is `label`; `None`: there is no such name. `provider` is the word that
/// the zone goes by among the providers.
pub async fn texts(
    store: &Store,
    provider: &str,
    owner: &str,
    label: &str,
) -> Result<Option<Vec<String>>, StoreError> {
    let row = sqlx::query_file!("queries/dns_texts.sql", provider, owner, label)
        .fetch_one(store.pool())
        .await
        .map_err(StoreError::of("dns_delegations.texts"))?;
    Ok(row.exists.then_some(row.texts))
}
