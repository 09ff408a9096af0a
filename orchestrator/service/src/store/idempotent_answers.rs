//! Answers that are given again: one effect for a request, however often it is sent.

use std::time::Duration;

use issuance::ids::ApiKeyId;
use issuance::time::Timestamp;

use super::work::Work;
use super::{Store, StoreError, sql_instant};

/// How long an answer is remembered.
pub const REMEMBERED: Duration = Duration::from_hours(24);

/// Which request, by the name its client has given it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestName {
    pub api_key: ApiKeyId,
    pub method: String,
    pub path: String,
    pub idempotency_key: String,
    /// SHA-256 of what was asked.
    pub fingerprint: [u8; 32],
}

/// An answer as it was given. The body is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    pub status: u16,
    pub location: Option<String>,
    pub etag: Option<String>,
    pub body: Vec<u8>,
}

/// What is known of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Nothing: it is to be carried out, and nobody else does it before this work ends.
    New,
    /// It is being carried out.
    InProgress,
    /// It was carried out.
    Answered(KeptAnswer),
    /// The name was given to another request.
    Reused,
}

impl Work {
    /// What is known of `request`. Where it is new, its name stays taken until this work ends.
    pub async fn look_up(&mut self, request: &RequestName) -> Result<Known, StoreError> {
        let lock =
            format!("{} {} {} {}", request.api_key, request.method, request.path, request.idempotency_key);
        let taken = sqlx::query_scalar!(
            r#"select pg_try_advisory_xact_lock(hashtextextended($1, 0)) as "taken!""#,
            lock
        )
        .fetch_one(self.conn())
        .await
        .map_err(StoreError::of("idempotent_answers.lock"))?;
        if !taken {
            return Ok(Known::InProgress);
        }
        let since = sql_instant(self.at().before(REMEMBERED));
        let found = sqlx::query!(
            "select fingerprint, status, location, etag, body
             from idempotent_answers
             where key_id = $1 and method = $2 and path = $3 and idempotency_key = $4 and created_at > $5",
            request.api_key.0,
            request.method,
            request.path,
            request.idempotency_key,
            since
        )
        .fetch_optional(self.conn())
        .await
        .map_err(StoreError::of("idempotent_answers.find"))?;
        Ok(match found {
            None => Known::New,
            Some(row) if row.fingerprint != request.fingerprint => Known::Reused,
            Some(row) => Known::Answered(KeptAnswer {
                status: u16::try_from(row.status).unwrap_or(200),
                location: row.location,
                etag: row.etag,
                body: row.body,
            }),
        })
    }

    /// Remembers the answer to `request`, with the effect.
    pub async fn remember(&mut self, request: &RequestName, answer: &KeptAnswer) -> Result<(), StoreError> {
        let at = sql_instant(self.at());
        sqlx::query!(
            "insert into idempotent_answers
                 (key_id, method, path, idempotency_key, fingerprint, status, location, etag, body, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             on conflict (key_id, method, path, idempotency_key) do update set
                 fingerprint = excluded.fingerprint, status = excluded.status, location = excluded.location,
                 etag = excluded.etag, body = excluded.body, created_at = excluded.created_at",
            request.api_key.0,
            request.method,
            request.path,
            request.idempotency_key,
            &request.fingerprint,
            i16::try_from(answer.status).unwrap_or(200),
            answer.location,
            answer.etag,
            answer.body,
            at,
        )
        .execute(self.conn())
        .await
        .map_err(StoreError::of("idempotent_answers.remember"))?;
        Ok(())
    }
}

impl Store {
    /// Forgets what nobody may ask for again. Returns how many there were.
    pub async fn forget_answers(&self, now: Timestamp) -> Result<u64, StoreError> {
        sqlx::query!(
            "delete from idempotent_answers where created_at <= $1",
            sql_instant(now.before(REMEMBERED))
        )
        .execute(self.pool())
        .await
        .map(|done| done.rows_affected())
        .map_err(StoreError::of("idempotent_answers.forget"))
    }
}
