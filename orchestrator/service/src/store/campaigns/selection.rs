//! Which certificates a campaign is about: those of which the latest version has everything that is named.

use issuance::exemption::Exemptions;
use issuance::identifier::{Hostname, Identifiers};
use issuance::ids::{AccountId, CertificateId, OrderId, TenantId};
use issuance::selector::Selector;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::PgConnection;
use sqlx::types::Uuid;
use sqlx::types::time::OffsetDateTime;
use utoipa::ToSchema;

use crate::store::viewer::Viewer;
use crate::store::{StoreError, sql_instant};

/// Versions looked at by one statement.
const SCANNED: i64 = 5_000;
/// Serials looked for by one statement.
const NAMED: usize = 1_000;

/// What the latest version of a certificate must have, all of it; at least one thing is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CampaignSelector {
    /// Whose certificate it was signed with: a distinguished name as certificates have it, or its common name alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "R11")]
    pub issuer: Option<String>,
    /// The account at the CA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<AccountId>,
    /// The CA's profile that it was ordered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Issued then or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_from: Option<Timestamp>,
    /// Issued then or earlier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_until: Option<Timestamp>,
    /// In hexadecimal digits, with or without colons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub serials: Vec<String>,
    /// SHA-256 of the public key (`SubjectPublicKeyInfo`), in hexadecimal digits. The certificate gets a new key, also where it
    /// is to keep it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// For the operator: of this tenant alone; its slug.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Labels that it must have, as in `server=web17,tier=shop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
}

impl CampaignSelector {
    /// As it is kept: without the serials, which have a column of their own.
    pub(super) fn kept(&self) -> Self {
        Self { serials: Vec::new(), ..self.clone() }
    }

    /// Whether anything is named.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn is_named(&self) -> bool {
        !self.serials.is_empty() || !self.keys.is_empty()
    }

    /// As labels are kept.
    fn labels(&self) -> Result<Value, StoreError> {
        let selector = self.labels.as_deref().map(Selector::parse).transpose();
        // One that cannot be read must not select everything.
        let selector = selector
            .map_err(|error| StoreError::Inconsistent { table: "campaigns", what: error.to_string() })?;
        let labels = selector.iter().flat_map(Selector::terms);
        let labels = labels.map(|(key, value)| (key.to_owned(), Value::from(value)));
        Ok(Value::Object(labels.collect::<Map<_, _>>()))
    }
}

/// Lower-case digits in pairs, without zeros in front: `None` where it is no serial (RFC 5280 §4.1.2.2: 20 bytes at the most,
/// and one for the sign).
pub fn serial(text: &str) -> Option<String> {
    let digits: String = text.trim().chars().filter(|c| *c != ':').collect::<String>().to_ascii_lowercase();
    let digits = digits.strip_prefix("0x").unwrap_or(&digits).trim_start_matches('0');
    let good =
        !digits.is_empty() && digits.len() <= 40 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    good.then(|| if digits.len().is_multiple_of(2) { digits.to_owned() } else { format!("0{digits}") })
}

/// `None` where it is no SHA-256 in hexadecimal digits.
pub fn key(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let good = text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let byte = |place: usize| u8::from_str_radix(text.get(place * 2..place * 2 + 2)?, 16).ok();
    if good { (0..32).map(byte).collect() } else { None }
}

/// A version that has everything that is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub order: OrderId,
    pub certificate: CertificateId,
    pub tenant: TenantId,
    pub account: AccountId,
    pub slug: String,
    names: Vec<String>,
    wished: Vec<String>,
    pub(super) serial: String,
    pub(super) spki_sha256: Vec<u8>,
    issued_at: Timestamp,
    window: Option<(Timestamp, Timestamp)>,
    pub fate: Fate,
}

/// Whether there is something to replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Selected,
    /// A later version is there.
    Superseded,
    /// Its owner has removed it, or given up its names.
    Removed,
    Expired,
}

impl Found {
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// The names that are ordered; `None`: the row cannot be read.
    pub fn names(&self) -> Option<Identifiers> {
        let names: Result<Vec<Hostname>, _> = self.wished.iter().map(|name| Hostname::parse(name)).collect();
        Identifiers::new(names.ok()?).ok()
    }

    /// By what the CA would not count its order at `now`.
    pub fn exemptions(&self, now: Timestamp) -> Exemptions {
        let set =
            if self.names == self.wished { Exemptions::of_set(self.issued_at) } else { Exemptions::NONE };
        Exemptions { renewal_info: self.window, ..set }.still_at(now)
    }
}

/// Where a search goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// After that version.
    pub(super) after: (Timestamp, OrderId),
    /// After so many of the serials.
    pub(super) serials: usize,
}

impl Cursor {
    pub fn start(selector: &CampaignSelector) -> Self {
        // Nothing has been issued at the very instant before, with the lowest of ids.
        let from = selector.issued_from.unwrap_or(Timestamp::EPOCH);
        Self { after: (from, OrderId(Uuid::nil())), serials: 0 }
    }
}

struct Row {
    order_id: Uuid,
    certificate_id: Uuid,
    tenant_id: Uuid,
    account_id: Uuid,
    slug: String,
    names: Vec<String>,
    wished: Vec<String>,
    serial: String,
    spki_sha256: Vec<u8>,
    issued_at: OffsetDateTime,
    fits: bool,
    is_last: bool,
    is_removed: bool,
    is_expired: bool,
    is_superseded: bool,
    window_start: Option<OffsetDateTime>,
    window_end: Option<OffsetDateTime>,
}

impl From<Row> for Found {
    fn from(row: Row) -> Self {
        let fate = match (row.is_superseded, row.is_removed, row.is_expired) {
            (true, ..) => Fate::Superseded,
            (_, true, _) => Fate::Removed,
            (_, _, true) => Fate::Expired,
            _ => Fate::Selected,
        };
        let window = row.window_start.map(Timestamp::from).zip(row.window_end.map(Timestamp::from));
        Self {
            order: OrderId(row.order_id),
            certificate: CertificateId(row.certificate_id),
            tenant: TenantId(row.tenant_id),
            account: AccountId(row.account_id),
            slug: row.slug,
            names: row.names,
            wished: row.wished,
            serial: row.serial,
            spki_sha256: row.spki_sha256,
            issued_at: row.issued_at.into(),
            window,
            fate,
        }
    }
}

/// What was found by one statement, and where to go on; `None`: that was all.
#[derive(Debug)]
pub struct Batch {
    pub found: Vec<Found>,
    pub next: Option<Cursor>,
}

/// The next versions that `selector` is about, issued at `at` or earlier.
pub(super) async fn next(
    conn: &mut PgConnection,
    viewer: Viewer,
    selector: &CampaignSelector,
    cursor: Cursor,
    at: Timestamp,
    now: Timestamp,
) -> Result<Batch, StoreError> {
    let until = selector.issued_until.map_or(at, |until| until.min(at));
    if selector.is_named() {
        return named(conn, viewer, selector, cursor, until, now).await;
    }
    let (after, after_order) = cursor.after;
    let rows = sqlx::query_file_as!(
        Row,
        "queries/campaigns_walk.sql",
        viewer.tenant_id(),
        sql_instant(after),
        after_order.0,
        sql_instant(until),
        SCANNED,
        sql_instant(now),
        selector.issuer,
        selector.account_id.map(|account| account.0),
        selector.profile,
        selector.tenant,
        selector.labels()?,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::of("campaigns.walk"))?;
    let last = rows.iter().find(|row| row.is_last);
    let next = last.map(|last| Cursor { after: (last.issued_at.into(), OrderId(last.order_id)), serials: 0 });
    let found = rows.into_iter().filter(|row| row.fits).map(Found::from).collect();
    Ok(Batch { found, next })
}

async fn named(
    conn: &mut PgConnection,
    viewer: Viewer,
    selector: &CampaignSelector,
    cursor: Cursor,
    until: Timestamp,
    now: Timestamp,
) -> Result<Batch, StoreError> {
    let end = selector.serials.len().min(cursor.serials + NAMED);
    let serials: Vec<String> = selector
        .serials
        .get(cursor.serials..end)
        .unwrap_or_default()
        .iter()
        .filter_map(|text| serial(text))
        // Of a number whose first bit is set, certificates have a zero in front (X.690 §8.3).
        .flat_map(|serial| [format!("00{serial}"), serial])
        .collect();
    let keys: Vec<Vec<u8>> = selector.keys.iter().filter_map(|text| key(text)).collect();
    let rows = sqlx::query_file_as!(
        Row,
        "queries/campaigns_named.sql",
        viewer.tenant_id(),
        &serials,
        &keys,
        sql_instant(selector.issued_from.unwrap_or(Timestamp::EPOCH)),
        sql_instant(until),
        sql_instant(now),
        selector.issuer,
        selector.account_id.map(|account| account.0),
        selector.profile,
        selector.tenant,
        selector.labels()?,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::of("campaigns.named"))?;
    let next = (end < selector.serials.len()).then_some(Cursor { serials: end, ..cursor });
    Ok(Batch { found: rows.into_iter().map(Found::from).collect(), next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_is_read_however_it_is_written() {
        for text in ["03:A1:b2", "0x3a1b2", "3A1B2", " 003a1b2 ", "03a1b2"] {
            assert_eq!(serial(text).as_deref(), Some("03a1b2"), "{text}");
        }
        for text in ["", "0", "zz", "3a 1b", &"f".repeat(42)] {
            assert_eq!(serial(text), None, "{text}");
        }
    }

    #[test]
    fn a_key_is_a_sha256() {
        assert_eq!(key(&"0F".repeat(32)), Some(vec![15; 32]));
        for text in ["", "0f", &"zz".repeat(32), &"é".repeat(32)] {
            assert_eq!(key(text), None, "{text}");
        }
    }
}
