//! Renewals whose instant has come: what is known of each, and what was decided.

use issuance::fairness::Lane;
use issuance::identifier::{Hostname, Identifiers};
use issuance::ids::{AccountId, CertificateId, OrderId};
use issuance::renewal::{Renewal, Standing, Turn, Underway, Validity};
use issuance::time::Timestamp;
use sqlx::types::Uuid;
use sqlx::types::time::OffsetDateTime;
use tracing::warn;

use super::mint::Mint;
use super::renewals::plan;
use super::{Store, StoreError, sql_instant};

/// A certificate whose renewal is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRenewal {
    pub certificate: CertificateId,
    /// Whose certificate it is.
    pub order: OrderId,
    /// `can_replace` says only that the certificate has a name for that, and not what the CA offers.
    pub standing: Standing,
    /// Its tenant keeps the key, and has to send another request before it can be renewed.
    pub needs_request: bool,
    look_at: Timestamp,
}

/// What was decided about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalTurn<'a> {
    pub due: &'a DueRenewal,
    pub turn: Turn,
    /// When it is looked at next, if no certificate has come by then.
    pub look_at: Timestamp,
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueuedRenewals {
    pub queued: Vec<CertificateId>,
    pub hastened: u64,
}

fn identifiers(names: &[String]) -> Result<Identifiers, StoreError> {
    let nonsense = |what: String| StoreError::Inconsistent { table: "renewals", what };
    let names: Vec<Hostname> = names
        .iter()
        .map(|name| Hostname::parse(name))
        .collect::<Result<_, _>>()
        .map_err(|error| nonsense(error.to_string()))?;
    Identifiers::new(names).map_err(|error| nonsense(error.to_string()))
}

#[derive(Default)]
struct TurnColumns {
    certificate: Vec<Uuid>,
    issued_by: Vec<Uuid>,
    seen_at: Vec<OffsetDateTime>,
    look_at: Vec<OffsetDateTime>,
    what: Vec<String>,
    orders: OrderColumns,
}

impl TurnColumns {
    fn push(&mut self, one: &RenewalTurn<'_>, mint: &Mint) {
        self.certificate.push(one.due.certificate.0);
        self.issued_by.push(one.due.order.0);
        self.seen_at.push(sql_instant(one.due.look_at));
        self.look_at.push(sql_instant(one.look_at));
        let (what, renewal) = match &one.turn {
            Turn::Order(renewal) => ("order", Some(renewal)),
            Turn::Hasten => ("hasten", None),
            Turn::Wait => ("wait", None),
        };
        self.what.push(what.to_owned());
        self.orders.push(renewal, Lane::Urgent, mint);
    }
}

/// The orders that renewals and campaigns make, one for each certificate that was decided about. Where none is to be made, nothing
/// of it is looked at but the lane, into which an order that waits already may change over.
#[derive(Default)]
pub(super) struct OrderColumns {
    pub(super) order: Vec<Uuid>,
    /// Comma-joined: an array of arrays would be flattened.
    pub(super) names: Vec<String>,
    pub(super) replaces: Vec<bool>,
    pub(super) lane: Vec<i16>,
    pub(super) may_split: Vec<bool>,
    pub(super) set_exempt_until: Vec<Option<OffsetDateTime>>,
    pub(super) ari_exempt_from: Vec<Option<OffsetDateTime>>,
    pub(super) ari_exempt_until: Vec<Option<OffsetDateTime>>,
}

impl OrderColumns {
    /// `lane`: where there is no order to be made.
    pub(super) fn push(&mut self, renewal: Option<&Renewal>, lane: Lane, mint: &Mint) {
        self.order.push(mint.uuid());
        self.names.push(renewal.map(|renewal| renewal.names.canonical()).unwrap_or_default());
        self.replaces.push(renewal.is_some_and(|renewal| renewal.replaces));
        self.lane.push(renewal.map_or(lane, |renewal| renewal.lane).number());
        self.may_split.push(renewal.is_some_and(|renewal| renewal.may_split));
        let exemptions = renewal.map(|renewal| renewal.exemptions).unwrap_or_default();
        self.set_exempt_until.push(exemptions.set_until.map(sql_instant));
        self.ari_exempt_from.push(exemptions.renewal_info.map(|(from, _)| sql_instant(from)));
        self.ari_exempt_until.push(exemptions.renewal_info.map(|(_, until)| sql_instant(until)));
    }
}

impl Store {
    /// Up to `limit` renewals that are to be looked at by now. One whose row cannot be read is told, and looked at again
    /// at `again_at`, so that it holds up nobody else.
    pub async fn due_renewals(
        &self,
        account: AccountId,
        now: Timestamp,
        again_at: Timestamp,
        limit: u16,
    ) -> Result<Vec<DueRenewal>, StoreError> {
        let rows =
            sqlx::query_file!("queries/renewals_due.sql", account.0, sql_instant(now), i64::from(limit))
                .fetch_all(self.pool())
                .await
                .map_err(StoreError::of("renewals.due"))?;
        let (mut due, mut unreadable) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            let names = identifiers(&row.issued_names)
                .and_then(|issued| Ok((issued, identifiers(&row.wished_names)?)));
            let (issued, wished) = match names {
                Ok(names) => names,
                Err(error) => {
                    let certificate = CertificateId(row.certificate_id);
                    warn!(
                        event = "renewal.unreadable",
                        certificate.id = %certificate,
                        error = &error as &dyn std::error::Error,
                        "Certificate {certificate} cannot be renewed: its row cannot be read"
                    );
                    unreadable.push(row.certificate_id);
                    continue;
                }
            };
            due.push(DueRenewal {
                certificate: CertificateId(row.certificate_id),
                order: OrderId(row.order_id),
                standing: Standing {
                    validity: Validity { not_before: row.not_before.into(), not_after: row.not_after.into() },
                    issued_at: row.issued_at.into(),
                    issued,
                    wished,
                    plan: plan(row.renew_at, row.window_start.zip(row.window_end), row.at_once),
                    can_replace: row.renewal_id.is_some(),
                    underway: Underway {
                        wished: row.wished_is_underway,
                        issued: row.issued_is_underway,
                        at_ca: row.at_ca,
                    },
                },
                needs_request: row.needs_request,
                look_at: row.look_at.into(),
            });
        }
        if !unreadable.is_empty() {
            sqlx::query!(
                "update renewals set look_at = $2 where certificate_id = any($1)",
                &unreadable,
                sql_instant(again_at)
            )
            .execute(self.pool())
            .await
            .map_err(StoreError::of("renewals.put_off"))?;
        }
        Ok(due)
    }

    /// Writes what was decided: orders, out of line and due now, and the next looks. Each only where nobody else has
    /// decided meanwhile.
    pub async fn queue_renewals(
        &self,
        turns: &[RenewalTurn<'_>],
        now: Timestamp,
    ) -> Result<QueuedRenewals, StoreError> {
        let (mint, mut columns) = (Mint::at(now), TurnColumns::default());
        for turn in turns {
            columns.push(turn, &mint);
        }
        let written = sqlx::query_file!(
            "queries/renewals_queue.sql",
            sql_instant(now),
            &columns.certificate,
            &columns.issued_by,
            &columns.seen_at,
            &columns.look_at,
            &columns.what,
            &columns.orders.order,
            &columns.orders.names,
            &columns.orders.replaces,
            &columns.orders.lane,
            &columns.orders.may_split,
            &columns.orders.set_exempt_until as &[Option<OffsetDateTime>],
            &columns.orders.ari_exempt_from as &[Option<OffsetDateTime>],
            &columns.orders.ari_exempt_until as &[Option<OffsetDateTime>]
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("renewals.queue"))?;
        let mut renewals = QueuedRenewals::default();
        for row in written {
            if row.is_new {
                renewals.queued.push(CertificateId(row.certificate_id));
            } else {
                renewals.hastened += 1;
            }
        }
        Ok(renewals)
    }
}
