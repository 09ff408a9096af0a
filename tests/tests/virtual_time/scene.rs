//! A CA with one limit that binds, and a fleet of many tenants.

use std::fmt::Write as _;
use std::time::Duration;

use issuance::limit::{Limit, LimitName};
use issuance::time::Timestamp;
use lockkeeper::config::ca_profile;
use lockkeeper::rehearse::{Ending, Options, Rehearsal, Report};
use lockkeeper_tests::database::Database;
use rehearsal::limits::LimitOverride;
use rehearsal::rules::CaRules;

pub(crate) const HOUR: Duration = Duration::from_hours(1);
/// 2027-01-01T00:00:00Z.
pub(crate) const START: Timestamp = Timestamp::from_unix_seconds(1_798_761_600);

#[derive(Debug, Clone)]
pub(crate) struct Scene {
    /// What the service and the CA agree on.
    pub(crate) limits: Vec<Limit>,
    /// What the CA has not told.
    pub(crate) overrides: Vec<LimitOverride>,
    pub(crate) broken: f64,
}

impl Scene {
    /// Let's Encrypt, but for one limit: `burst` tokens, and another one each `refill`.
    pub(crate) fn limited(name: LimitName, burst: u32, refill: Duration) -> Self {
        let mut limits = CaRules::preset("letsencrypt").expect("it is built in").limits;
        limits.retain(|limit| limit.name != name);
        limits.push(Limit { name, burst, count: 1, period_seconds: refill.as_secs() });
        Self { limits, overrides: Vec::new(), broken: 0.0 }
    }

    pub(crate) async fn start(&self) -> anyhow::Result<(Rehearsal, Database)> {
        let database = Database::migrated().await?;
        let mut profile = ca_profile::load("letsencrypt")?;
        let mut rules = CaRules::preset("letsencrypt")?;
        profile.limits.clone_from(&self.limits);
        rules.limits.clone_from(&self.limits);
        rules.overrides.clone_from(&self.overrides);
        let database_url = Some(database.url.clone());
        let options = Options { broken: self.broken, database_url, ..Options::new(profile, rules, START) };
        Ok((Rehearsal::start(options).await?, database))
    }

    /// Brings in a fleet of so many sites, and lets at the most `time` go by.
    pub(crate) async fn play(&self, sites: usize, time: Duration) -> anyhow::Result<(Report, Ending)> {
        let (mut rehearsal, database) = self.start().await?;
        rehearsal.import(csv("tenant", 0..sites).into()).await?;
        let ending = rehearsal.run_until(START.after(time)).await?;
        let report = rehearsal.report().await?;
        rehearsal.stop().await?;
        database.remove().await?;
        Ok((report, ending))
    }
}

/// Sites of one name each, all of one tenant.
pub(crate) fn csv(tenant: &str, sites: std::ops::Range<usize>) -> String {
    let mut csv = String::from("tenant,external_id,names,challenge,labels\n");
    for site in sites {
        let _ = writeln!(csv, "{tenant},{tenant}-{site},{tenant}-{site}.com,http-01,");
    }
    csv
}
