//! From the rows of an order to records that are seen wherever a CA may look.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use issuance::authorization::Authorization;
use issuance::fault::{FailureClass, Fault};
use issuance::ids::TenantId;
use issuance::time::Timestamp;

use super::Records;
use super::write::Written;
use crate::challenge::dns01::{RecordName, Turn, digest};
use crate::chance::draw;
use crate::store::StoreError;
use crate::store::dns_records::{DnsRecord, WantedRecord};
use crate::store::leases::Lease;
use crate::telemetry::traces;

/// Somebody else writes at a name of the order, or many wait for its provider: not all of them come back at once.
const BUSY_WAIT: Duration = Duration::from_secs(2);
const BUSY_JITTER: f64 = 4.0;
/// Where a record would stand could not be found out, and nobody is to blame.
const UNKNOWN_WAIT: Duration = Duration::from_secs(20);

/// How the records of an order stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presented {
    /// Seen everywhere, twice.
    Seen,
    /// On their way: look again then.
    Awaited { until: Timestamp },
    /// Not there, and not about to be.
    Unserved { fault: Fault },
    /// The lease on the order was lost: nothing was written.
    LeaseLost,
}

impl Records {
    /// Publishes what these authorizations need, all of it, and looks whether it is seen.
    pub async fn present(
        &self,
        lease: Lease,
        tenant: TenantId,
        authorizations: &[&Authorization],
    ) -> Result<Presented, StoreError> {
        let rows = self.store.records_of(lease.order).await?;
        let known: Option<Vec<&DnsRecord>> =
            authorizations.iter().map(|one| self.row_of(one, &rows)).collect();
        if let Some(known) = known {
            return self.judge(authorizations, &known).await;
        }
        let wanted = match self.wanted(authorizations, tenant).await? {
            Ok(wanted) => wanted,
            Err(Some(fault)) => return Ok(Presented::Unserved { fault }),
            Err(None) => return Ok(Presented::Awaited { until: self.clock.now().after(UNKNOWN_WAIT) }),
        };
        let stands = |wanted: &WantedRecord| {
            rows.iter().find(|row| row.wanted == *wanted && row.published_at.is_some())
        };
        let there: Option<Vec<&DnsRecord>> = wanted.iter().map(stands).collect();
        if let Some(there) = there {
            return self.judge(authorizations, &there).await;
        }
        if !self.store.want_records(lease, &wanted, self.clock.now()).await? {
            return Ok(Presented::LeaseLost);
        }
        match traces::span("challenge.present", self.publish(&wanted)).await? {
            // Looked for at once, and under a lease that what was written has not used up.
            Written::All => Ok(Presented::Awaited { until: self.clock.now() }),
            Written::Busy => {
                let wait = BUSY_WAIT + draw().of(BUSY_WAIT, BUSY_JITTER);
                Ok(Presented::Awaited { until: self.clock.now().after(wait) })
            }
            Written::Failed(detail) => {
                Ok(Presented::Unserved { fault: Fault::new(FailureClass::ProviderApi, detail) })
            }
        }
    }

    /// The row that was published for it, unless that is so long ago that its name may lead elsewhere by now.
    fn row_of<'a>(&self, authorization: &Authorization, rows: &'a [DnsRecord]) -> Option<&'a DnsRecord> {
        let value = digest(&authorization.challenge.as_ref()?.key_authorization);
        let fresh = self.clock.now().before(self.pace.total);
        rows.iter().rev().find(|row| {
            row.wanted.value == value
                && *row.wanted.authorization_url == *authorization.url
                && row.published_at.is_some_and(|at| fresh < at || row.visible_at.is_some())
        })
    }

    /// What is to stand where; or why that is not known, `None` where it could not be found out.
    async fn wanted(
        &self,
        authorizations: &[&Authorization],
        tenant: TenantId,
    ) -> Result<Result<Vec<WantedRecord>, Option<Fault>>, StoreError> {
        let tenant = self.tenant(tenant).await?;
        let places = authorizations.iter().map(|authorization| {
            let tenant = tenant.as_deref();
            async move {
                let (Some(name), Some(challenge)) = (&authorization.identifier, &authorization.challenge)
                else {
                    return Err(None);
                };
                let place = self
                    .place(name, tenant)
                    .await
                    .map_err(|fault| fault.map(|fault| fault.of(Some(name.clone()))))?;
                Ok(WantedRecord {
                    authorization_url: authorization.url.to_string(),
                    provider: place.provider.name.clone(),
                    zone: place.zone.to_string(),
                    owner: place.owner.to_string(),
                    value: digest(&challenge.key_authorization),
                })
            }
        });
        Ok(join_all(places).await.into_iter().collect())
    }

    /// All of an order's records, of each zone in one write.
    async fn publish(&self, wanted: &[WantedRecord]) -> Result<Written, StoreError> {
        let mut groups: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
        for record in wanted {
            groups.entry((&record.provider, &record.zone)).or_default().insert(record.owner.clone());
        }
        let mut worst = Written::All;
        for ((provider, zone), owners) in groups {
            let (Some(provider), Ok(zone)) = (self.providers.named(provider), RecordName::parse(zone)) else {
                continue;
            };
            if let Turn::Ails { until } = self.providers.turn(provider) {
                let name = &provider.name;
                worst =
                    Written::Failed(format!("the DNS provider {name} fails, and is tried again at {until}"));
                continue;
            }
            // What is written stays so, if there is not time enough for all.
            let owners: Vec<String> = owners.into_iter().collect();
            for some in owners.chunks(provider.names_max()) {
                match self.write(provider, &zone, &some.iter().cloned().collect()).await? {
                    Written::Busy if worst == Written::All => worst = Written::Busy,
                    Written::All | Written::Busy => {}
                    failed @ Written::Failed(_) => {
                        worst = failed;
                        break;
                    }
                }
            }
        }
        Ok(worst)
    }
}
