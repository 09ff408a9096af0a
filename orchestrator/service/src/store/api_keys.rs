//! Keys of the API, and what each of them opens.
//!
//! The text of a key is `lockkeeper_<operator|tenant|agent>_<30 base 62><6 base 62>`: the last six are a CRC-32 of all
//! before them, so a scanner and our own door tell a typing error without asking the database. 30 characters are 178
//! random bits, so a plain SHA-256 keeps them; the text itself is never stored.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use issuance::ids::{ApiKeyId, TenantId};
use issuance::time::Timestamp;
use rand::Rng;
use rand::distr::Alphanumeric;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use sqlx::types::Uuid;

use super::mint::Mint;
use super::scope::Scopes;
use super::viewer::Viewer;
use super::{Store, StoreError, sql_instant};
use crate::config::Cidr;

/// The operator token's file in the data folder.
pub const OPERATOR_TOKEN_FILE: &str = "operator.token";

const PREFIX: &str = "lockkeeper";
const RANDOM_CHARS: usize = 30;
const CHECK_CHARS: usize = 6;
const BASE_62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A well-formed token. Whether it opens anything only the database knows.
#[derive(Clone)]
pub struct Token(SecretString);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenTextError {
    #[error("this is no lockkeeper token: it has another shape")]
    Shape,
    #[error("the token's checksum is wrong: a character is missing or mistyped")]
    Checksum,
}

/// What can go wrong with the operator's token.
#[derive(Debug, thiserror::Error)]
pub enum OperatorTokenError {
    #[error("the operator token {} cannot be read or written", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} holds no operator token: remove the file to have a new one made", path.display())]
    Text {
        path: PathBuf,
        #[source]
        source: TokenTextError,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Token {
    /// A new one, for the operator or for a tenant.
    pub fn generate(viewer: Viewer) -> Self {
        let kind = match viewer {
            Viewer::Operator => "operator",
            Viewer::Tenant(_) => "tenant",
        };
        Self::draw(kind)
    }

    /// A new one for an agent, whoever's it is.
    pub fn for_agent() -> Self {
        Self::draw("agent")
    }

    fn draw(kind: &str) -> Self {
        let random: String =
            rand::rng().sample_iter(Alphanumeric).take(RANDOM_CHARS).map(char::from).collect();
        let body = format!("{PREFIX}_{kind}_{random}");
        let check = checksum(&body);
        Self(SecretString::from(body + &check))
    }

    pub fn parse(text: &str) -> Result<Self, TokenTextError> {
        let mut parts = text.splitn(3, '_');
        let (Some(PREFIX), Some("operator" | "tenant" | "agent"), Some(random)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenTextError::Shape);
        };
        if random.len() != RANDOM_CHARS + CHECK_CHARS || !random.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(TokenTextError::Shape);
        }
        let (body, check) = text.split_at(text.len() - CHECK_CHARS);
        if checksum(body) != check {
            return Err(TokenTextError::Checksum);
        }
        Ok(Self(SecretString::from(text)))
    }

    /// The text, for the one who is to use it.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// Enough of it to tell keys apart: its kind, four characters, and the last four, which are of the checksum.
    pub fn shown(&self) -> String {
        let text = self.reveal();
        let random = text.len() - RANDOM_CHARS - CHECK_CHARS;
        format!("{}…{}", &text[..random + 4], &text[text.len() - 4..])
    }

    pub(super) fn sha256(&self) -> Vec<u8> {
        Sha256::digest(self.reveal().as_bytes()).to_vec()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What the door has to know of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub name: String,
    pub viewer: Viewer,
    pub scopes: Scopes,
    /// From where it may be used; none: from anywhere.
    pub cidrs: Vec<Cidr>,
    pub expires_at: Option<Timestamp>,
}

/// Makes a key that opens all that `viewer` may do, and answers its text: the only time that is known.
pub async fn create(store: &Store, now: Timestamp, viewer: Viewer, name: &str) -> Result<Token, StoreError> {
    let token = Token::generate(viewer);
    keep(store, now, viewer, name, &token).await?;
    Ok(token)
}

/// The key whose text `token` is; `None` if it is unknown or revoked. Whether it has expired, and may be used from where
/// it is used, is for the door to say.
pub async fn find(store: &Store, token: &Token) -> Result<Option<ApiKey>, StoreError> {
    let found = sqlx::query!(
        "select key_id, tenant_id, name, scopes, cidrs, expires_at
         from api_keys
         where sha256 = $1 and revoked_at is null",
        token.sha256(),
    )
    .fetch_optional(store.pool())
    .await
    .map_err(StoreError::of("api_keys.find"))?;
    let Some(row) = found else { return Ok(None) };
    // A block that cannot be read opens nothing: left out, it would open the key to everybody.
    let cidrs: Result<Vec<Cidr>, _> = row.cidrs.iter().map(|block| block.parse()).collect();
    let cidrs =
        cidrs.map_err(|error| StoreError::Inconsistent { table: "api_keys", what: error.to_string() })?;
    let viewer = row.tenant_id.map_or(Viewer::Operator, |tenant| Viewer::Tenant(TenantId(tenant)));
    Ok(Some(ApiKey {
        id: ApiKeyId(row.key_id),
        name: row.name,
        viewer,
        scopes: Scopes::of_row(&row.scopes, viewer),
        cidrs,
        expires_at: row.expires_at.map(Timestamp::from),
    }))
}

/// Whether it was there to revoke.
pub async fn revoke(store: &Store, now: Timestamp, token: &Token) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update api_keys set revoked_at = $2 where sha256 = $1 and revoked_at is null",
        token.sha256(),
        sql_instant(now),
    )
    .execute(store.pool())
    .await
    .map_err(StoreError::of("api_keys.revoke"))?;
    Ok(done.rows_affected() == 1)
}

/// The operator's token: read from the data folder, or made and written there at the first start. A
/// database that does not know it, because it is new, learns it. One that was revoked stays so.
///
/// # Errors
/// The file cannot be read or written, holds something else, or the database fails.
pub async fn ensure_operator(
    store: &Store,
    now: Timestamp,
    data_folder: &Path,
) -> Result<Token, OperatorTokenError> {
    let path = data_folder.join(OPERATOR_TOKEN_FILE);
    let failed = |source| OperatorTokenError::File { path: path.clone(), source };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            write_new(data_folder, &path, &Token::generate(Viewer::Operator)).map_err(failed)?;
            // Read back: another process may have been first, and then its token is the one.
            std::fs::read_to_string(&path).map_err(failed)?
        }
        Err(error) => return Err(failed(error)),
    };
    let token = Token::parse(text.trim())
        .map_err(|source| OperatorTokenError::Text { path: path.clone(), source })?;
    keep(store, now, Viewer::Operator, OPERATOR_TOKEN_FILE, &token).await?;
    Ok(token)
}

/// The file appears whole or not at all, readable by its owner alone; an existing one is left as it is.
fn write_new(folder: &Path, path: &Path, token: &Token) -> io::Result<()> {
    let draft = folder.join(format!("{OPERATOR_TOKEN_FILE}.{}", Uuid::new_v4().simple()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    let written = writeln!(file, "{}", token.reveal()).and_then(|()| file.sync_all()).and_then(|()| {
        match std::fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    });
    std::fs::remove_file(&draft)?;
    written
}

async fn keep(
    store: &Store,
    now: Timestamp,
    viewer: Viewer,
    name: &str,
    token: &Token,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into api_keys (key_id, principal_id, tenant_id, name, sha256, created_at, shown)
         values ($1, $1, $2, $3, $4, $5, $6)
         on conflict (sha256) do nothing",
        Mint::at(now).uuid(),
        viewer.tenant_id(),
        name,
        token.sha256(),
        sql_instant(now),
        token.shown(),
    )
    .execute(store.pool())
    .await
    .map_err(StoreError::of("api_keys.keep"))?;
    Ok(())
}

fn checksum(body: &str) -> String {
    let mut rest = crc32(body.as_bytes());
    let mut check = [b'0'; CHECK_CHARS];
    for digit in check.iter_mut().rev() {
        *digit = BASE_62[(rest % 62) as usize];
        rest /= 62;
    }
    check.map(char::from).iter().collect()
}

/// CRC-32 of ISO 3309, as in gzip and PNG.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_standard_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_generated_token_is_well_formed_and_a_changed_one_is_not() {
        let token = Token::generate(Viewer::Operator);
        let text = token.reveal();
        assert_eq!(text.len(), "lockkeeper_operator_".len() + 36);
        assert_eq!(Token::parse(text).expect("well formed").reveal(), text);
        for place in "lockkeeper_operator_".len()..text.len() {
            let other = if text.as_bytes()[place] == b'x' { "y" } else { "x" };
            let mut changed = text.to_owned();
            changed.replace_range(place..=place, other);
            assert_eq!(Token::parse(&changed).map(|_| ()), Err(TokenTextError::Checksum), "{place}");
        }
        assert_eq!(Token::parse("lockkeeper_admin_x").map(|_| ()), Err(TokenTextError::Shape));
        assert_eq!(Token::parse("").map(|_| ()), Err(TokenTextError::Shape));
        assert!(!format!("{token:?}").contains(text));
    }
}
