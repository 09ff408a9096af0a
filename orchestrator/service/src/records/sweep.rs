//! Records whose challenges are over, whoever published them and whatever became of that: away with them.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use issuance::time::Timestamp;
use tracing::{error, warn};

use super::Records;
use super::instruments::RecordInstruments;
use super::write::Written;
use crate::challenge::dns01::RecordName;
use crate::store::dns_records::DnsRecord;
use crate::store::{StoreError, settlings};

/// Writes that failed in a row after which a person is told.
const FAILURES_TOLD: u32 = 5;

/// What one sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Records whose authorizations have ended since the last one.
    pub unwanted: u64,
    pub removed: u64,
    /// Could not be removed, and is tried again.
    pub failed: u64,
}

impl Records {
    /// One sweep, of up to `limit` records.
    pub async fn sweep(&self, now: Timestamp, limit: u16) -> Result<Swept, StoreError> {
        let unwanted = self.store.unwant_records(now, limit).await?;
        let due = self.store.records_to_remove(now, limit).await?;
        let mut by_provider: BTreeMap<&str, Vec<&DnsRecord>> = BTreeMap::new();
        for record in &due {
            by_provider.entry(&record.wanted.provider).or_default().push(record);
        }
        // Side by side: one that is dead takes nobody else's time.
        let swept = by_provider.into_iter().map(|(provider, records)| self.sweep_provider(provider, records));
        let mut sum = Swept { unwanted, ..Swept::default() };
        for outcome in join_all(swept).await {
            let (removed, failed) = outcome?;
            sum.removed += removed;
            sum.failed += failed;
        }
        for (provider, delay) in settlings::longest(&self.store).await? {
            RecordInstruments::settle(&provider, delay);
        }
        self.instruments.counted(&self.store.count_records().await?, self.clock.now());
        Ok(sum)
    }

    async fn sweep_provider(
        &self,
        provider: &str,
        records: Vec<&DnsRecord>,
    ) -> Result<(u64, u64), StoreError> {
        let Some(known) = self.providers.named(provider) else {
            let owners: Vec<&str> = records.iter().map(|one| one.wanted.owner.as_str()).collect();
            let detail = format!("no provider is configured by the name {provider}");
            warn!(
                event = "records.provider_gone",
                provider.name = provider,
                records = records.len(),
                "Provider {provider} is no longer configured: records of it are left at {}",
                owners.join(", ")
            );
            self.postpone(&records, &detail).await?;
            return Ok((0, records.len() as u64));
        };
        let mut zones: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for record in &records {
            zones.entry(&record.wanted.zone).or_default().insert(record.wanted.owner.clone());
        }
        let (mut removed, mut failed) = (0, 0);
        for (zone, owners) in zones {
            let Ok(zone_name) = RecordName::parse(zone) else { continue };
            let owners: Vec<String> = owners.into_iter().collect();
            for some in owners.chunks(known.names_max()) {
                let here = |one: &&&DnsRecord| one.wanted.zone == zone && some.contains(&one.wanted.owner);
                let count = records.iter().filter(here).count() as u64;
                match self.write(known, &zone_name, &some.iter().cloned().collect()).await? {
                    Written::All => removed += count,
                    // Whoever is writing there removes them as well, or the next sweep does.
                    Written::Busy => {}
                    Written::Failed(detail) => {
                        failed += count;
                        let stubborn =
                            records.iter().filter(here).any(|one| one.failures + 1 >= FAILURES_TOLD);
                        if stubborn {
                            error!(
                                event = "records.removal_stuck",
                                provider.name = provider,
                                dns.zone = zone,
                                records = count,
                                "Provider {provider}: records of {zone} still cannot be removed: {detail}"
                            );
                        }
                        // The others of a provider that fails would fail like this one.
                        return Ok((removed, failed));
                    }
                }
            }
        }
        Ok((removed, failed))
    }

    async fn postpone(&self, records: &[&DnsRecord], detail: &str) -> Result<(), StoreError> {
        let ids: Vec<_> = records.iter().map(|one| one.id).collect();
        let failures = records.iter().map(|one| one.failures).max().unwrap_or(0);
        self.store.records_failed(&ids, detail, self.retry_at(failures)).await
    }
}
