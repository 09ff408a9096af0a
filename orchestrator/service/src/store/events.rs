//! What was done, by whom, and what has come about: the audit and the outbox in one table that is only appended to.

use std::net::IpAddr;

use issuance::ids::{ApiKeyId, CertificateId, TenantId};
use issuance::time::Timestamp;
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Uuid;

use super::mint::Mint;
use super::{StoreError, sql_instant};

/// Who has done something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    pub who: Who,
    /// From where the request came.
    pub address: Option<IpAddr>,
    /// As the answer and the log have it.
    pub request_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// The holder of a key.
    Key { id: ApiKeyId, name: String },
    /// Somebody signed in.
    User { id: Uuid, name: String },
    /// The service itself; the part of it that acted.
    Service(&'static str),
}

impl Who {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Key { .. } => "key",
            Self::User { .. } => "user",
            Self::Service(_) => "service",
        }
    }

    pub fn id(&self) -> Option<Uuid> {
        match self {
            Self::Key { id, .. } => Some(id.0),
            Self::User { id, .. } => Some(*id),
            Self::Service(_) => None,
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Key { name, .. } | Self::User { name, .. } => name,
            Self::Service(part) => part,
        }
    }
}

impl Actor {
    /// A part of the service, at nobody's request.
    pub fn service(part: &'static str) -> Self {
        Self { who: Who::Service(part), address: None, request_id: None }
    }
}

/// One thing that has happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `<object>.<what has happened>`, such as `certificate.issued`.
    pub kind: &'static str,
    /// `None` where it concerns no tenant.
    pub tenant: Option<TenantId>,
    pub certificate: Option<CertificateId>,
    /// The object it is about, as the API names it: an id, a hostname, a slug.
    pub subject: String,
    /// For a change, `{"before": …, "after": …}`. Never a secret.
    pub data: Value,
}

/// Appends `events` in their order. Whoever writes them writes what they tell in the same transaction.
pub(super) async fn append(
    conn: &mut PgConnection,
    mint: &Mint,
    at: Timestamp,
    actor: &Actor,
    events: &[Event],
) -> Result<(), StoreError> {
    for event in events {
        sqlx::query!(
            "insert into events (
                 event_id, happened_at, tenant_id, certificate_id, kind, subject, actor_kind, actor_id, actor_name, address,
                 request_id, data
             )
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::inet, $11, $12)",
            mint.uuid(),
            sql_instant(at),
            event.tenant.map(|tenant| tenant.0),
            event.certificate.map(|certificate| certificate.0),
            event.kind,
            event.subject,
            actor.who.kind(),
            actor.who.id(),
            actor.who.name(),
            actor.address.map(|address| address.to_string()) as Option<String>,
            actor.request_id,
            event.data,
        )
        .execute(&mut *conn)
        .await
        .map_err(StoreError::of("events.append"))?;
    }
    Ok(())
}
