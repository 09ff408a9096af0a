//! A CA with one limit that binds, and a fleet of many tenants.

use std::fmt::Write as _;
use std::time::Duration;

use issuance::limit::{Limit, LimitName};
use issuance::time::Timestamp;
use lockkeeper::config::ca_profile;
use lockkeeper::rehearse::{Ending, Options, Rehearsal, Report, Sites};
use lockkeeper_tests::database::Database;
use rehearsal::rules::CaRules;

pub(crate) const HOUR: Duration = Duration::from_hours(1);
pub(crate) const DAY: Duration = Duration::from_hours(24);
/// 2027-01-01T00:00:00Z.
pub(crate) const START: Timestamp = Timestamp::from_unix_seconds(1_798_761_600);

#[derive(Debug, Clone)]
pub(crate) struct Scene {
    /// What the service and the CA agree on.
    pub(crate) limits: Vec<Limit>,
    pub(crate) broken: f64,
}

impl Scene {
    /// Let's Encrypt, but for one limit: `burst` tokens, and another one each `refill`.
    pub(crate) fn limited(name: LimitName, burst: u32, refill: Duration) -> Self {
        let mut limits = CaRules::preset("letsencrypt").expect("it is built in").limits;
        limits.retain(|limit| limit.name != name);
        let period_seconds = refill.as_secs() * u64::from(burst);
        limits.push(Limit { name, burst, count: burst, period_seconds });
        Self { limits, broken: 0.0 }
    }

    pub(crate) fn options(&self) -> anyhow::Result<Options> {
        let mut profile = ca_profile::load("letsencrypt")?;
        let mut rules = CaRules::preset("letsencrypt")?;
        profile.limits.clone_from(&self.limits);
        rules.limits.clone_from(&self.limits);
        Ok(Options { broken: self.broken, ..Options::new(profile, rules, START) })
    }

    pub(crate) async fn start(&self) -> anyhow::Result<(Rehearsal, Database)> {
        self.start_at(self).await
    }

    /// At a CA that counts otherwise than is told here.
    async fn start_at(&self, granted: &Self) -> anyhow::Result<(Rehearsal, Database)> {
        let database = Database::migrated().await?;
        let mut options = Options { database_url: Some(database.url.clone()), ..self.options()? };
        options.rules.limits.clone_from(&granted.limits);
        Ok((Rehearsal::start(options).await?, database))
    }

    /// At a CA that counts otherwise than is told here. `seeks`: the operator has the service find that out.
    pub(crate) async fn play_at(
        &self,
        granted: &Self,
        sites: &Sites,
        time: Duration,
        seeks: bool,
    ) -> anyhow::Result<(Report, Ending)> {
        let (mut rehearsal, database) = self.start_at(granted).await?;
        if seeks {
            rehearsal.seek_more(START.after(DAY)).await?;
        }
        rehearsal.import(sites).await?;
        let ending = rehearsal.run_until(START.after(time)).await?;
        let report = rehearsal.report().await?;
        rehearsal.stop().await?;
        database.remove().await?;
        Ok((report, ending))
    }

    /// Brings sites in, and lets at the most `time` go by.
    pub(crate) async fn play(&self, sites: &Sites, time: Duration) -> anyhow::Result<(Report, Ending)> {
        self.play_at(self, sites, time, false).await
    }
}

/// Sites of one name each, all of one tenant.
pub(crate) fn sites(tenant: &str, numbers: std::ops::Range<usize>) -> Sites {
    let mut csv = String::from("tenant,external_id,names,challenge,labels\n");
    for site in numbers {
        let _ = writeln!(csv, "{tenant},{tenant}-{site},{tenant}-{site}.com,http-01,");
    }
    let profile = ca_profile::load("letsencrypt").expect("it is built in");
    Sites::read(csv.into(), &profile).expect("a file of sites")
}
