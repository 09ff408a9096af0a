//! One write: by the only writer at its names, all that is wanted and unwanted there at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use issuance::backoff;
use issuance::time::Timestamp;

use super::Records;
use crate::challenge::dns01::{Change, PresentError, Provider, RecordName};
use crate::chance::draw;
use crate::store::StoreError;
use crate::store::dns_records::{DnsRecord, Writer};

/// How long nobody else writes at a name. What is on its way when that is over has ended long before: see [`ROOM`].
const WRITER_LEASE: Duration = Duration::from_mins(1);
/// What a write may take, the wait for its turn at the provider included.
const ROOM: Duration = Duration::from_secs(30);

/// How a write ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written {
    /// At all the names.
    All,
    /// Somebody else is writing at some of the names, or many wait for the provider.
    Busy,
    /// The provider has not done it, in its words.
    Failed(String),
}

impl Records {
    /// Brings the names of one zone to what their rows say: publishes what is wanted, removes what is not.
    pub(super) async fn write(
        &self,
        provider: &Provider,
        zone: &RecordName,
        owners: &BTreeSet<String>,
    ) -> Result<Written, StoreError> {
        let now = self.clock.now();
        let wanted: Vec<String> = owners.iter().cloned().collect();
        let writer = self.store.take_writer(&provider.name, &wanted, now, now.after(WRITER_LEASE)).await?;
        let missing = writer.owners.len() < wanted.len();
        if writer.owners.is_empty() {
            return Ok(Written::Busy);
        }
        let written = self.write_as(&writer, provider, zone).await;
        self.store.let_go(&writer).await?;
        Ok(match written? {
            Written::All if missing => Written::Busy,
            written => written,
        })
    }

    async fn write_as(
        &self,
        writer: &Writer,
        provider: &Provider,
        zone: &RecordName,
    ) -> Result<Written, StoreError> {
        let rows = self.store.records_at(writer).await?;
        let (publish, remove): (Vec<_>, Vec<_>) = rows
            .iter()
            .filter(|row| row.unwanted_at.is_some() || row.published_at.is_none())
            .cloned()
            .partition(|row| row.unwanted_at.is_none());
        let changes = changes(&rows);
        let nothing = changes.is_empty() && publish.is_empty() && remove.is_empty();
        if nothing {
            return Ok(Written::All);
        }
        let outcome = self.providers.write(provider, zone, &changes, ROOM).await;
        if outcome == Err(PresentError::Busy) {
            return Ok(Written::Busy);
        }
        if let Err(error) = outcome {
            let tried: Vec<_> = publish.iter().chain(&remove).collect();
            let failures = tried.iter().map(|row| row.failures).max().unwrap_or(0);
            let retry_at = self.retry_at(failures);
            let ids: Vec<_> = tried.iter().map(|row| row.id).collect();
            self.store.records_failed(&ids, &error.to_string(), retry_at).await?;
            return Ok(Written::Failed(error.to_string()));
        }
        if !publish.is_empty() {
            self.store.records_published(&publish, self.clock.now()).await?;
        }
        let gone: Vec<_> = remove.iter().map(|row| row.id).collect();
        self.store.records_removed(&gone).await?;
        Ok(Written::All)
    }

    /// When what is to go is tried again that could not be removed.
    pub(super) fn retry_at(&self, failures: u32) -> Timestamp {
        self.clock.now().after(backoff::rest(failures.saturating_add(1), draw()).min(RETRY_WAIT_MAX))
    }
}

/// A record that cannot be removed is somebody's open door no longer, since its challenge is over; but it stands.
const RETRY_WAIT_MAX: Duration = Duration::from_hours(1);

/// What is to change at each name. A value that one order has no use for any more and another wants is left alone.
fn changes(rows: &[DnsRecord]) -> Vec<Change> {
    let mut by_owner: BTreeMap<&str, Vec<&DnsRecord>> = BTreeMap::new();
    for row in rows {
        by_owner.entry(&row.wanted.owner).or_default().push(row);
    }
    let change = |(owner, rows): (&str, Vec<&DnsRecord>)| {
        let values = |of: fn(&DnsRecord) -> bool| -> BTreeSet<String> {
            rows.iter().filter(|row| of(row)).map(|row| row.wanted.value.clone()).collect()
        };
        let wanted = values(|row| row.unwanted_at.is_none());
        let add: Vec<String> =
            values(|row| row.unwanted_at.is_none() && row.published_at.is_none()).into_iter().collect();
        let remove: Vec<String> =
            values(|row| row.unwanted_at.is_some()).difference(&wanted).cloned().collect();
        let owner = RecordName::parse(owner).ok()?;
        (!add.is_empty() || !remove.is_empty()).then_some(Change { owner, add, remove })
    };
    by_owner.into_iter().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use issuance::ids::OrderId;
    use uuid::Uuid;

    use super::*;
    use crate::store::dns_records::WantedRecord;

    fn row(owner: &str, value: &str, published: bool, unwanted: bool) -> DnsRecord {
        let then = Timestamp::from_unix_seconds(1_000);
        DnsRecord {
            id: Uuid::new_v4(),
            order: OrderId(Uuid::new_v4()),
            wanted: WantedRecord {
                authorization_url: "https://ca.test/authz/1".into(),
                provider: "bind".into(),
                zone: "shop.com".into(),
                owner: owner.into(),
                value: value.into(),
            },
            created_at: then,
            published_at: published.then_some(then),
            visible_at: None,
            server_set: None,
            unwanted_at: unwanted.then_some(then),
            failures: 0,
        }
    }

    #[test]
    fn a_name_gets_all_its_values_in_one_change_and_keeps_those_that_somebody_wants() {
        let name = "_acme-challenge.shop.com";
        let rows = [
            row(name, "apex", false, false),
            row(name, "wildcard", false, false),
            row(name, "old", true, true),
            // Of an order that has ended; another one goes on with the same authorization.
            row(name, "shared", true, true),
            row(name, "shared", false, false),
            row(name, "there", true, false),
            row("_acme-challenge.www.shop.com", "there", true, false),
        ];
        let owner = RecordName::parse(name).expect("a name");
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let add = texts(&["apex", "shared", "wildcard"]);
        assert_eq!(changes(&rows), [Change { owner, add, remove: texts(&["old"]) }]);
        assert_eq!(changes(&rows[6..]), []);
    }
}
