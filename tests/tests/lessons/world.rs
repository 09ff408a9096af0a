//! A CA that counts otherwise than its profile says, and a service that has one place there: so no two requests are
//! refused at once for what one of them would have taught.

use std::time::Duration;

use issuance::identifier::Hostname;
use issuance::limit::{Limit, LimitName};
use lockkeeper_tests::settings::Settings;
use lockkeeper_tests::world::{CaChoice, Plan, World, hostname};
use rehearsal::fleet::Site;
use rehearsal::rules::CaRules;

pub(crate) const WITHIN: Duration = Duration::from_mins(1);

pub(crate) async fn world(sites: &[Site], limits: Vec<Limit>) -> anyhow::Result<World> {
    let rules = CaRules { nonce_rejection: 0.0, limits, ..CaRules::default() };
    let settings = Settings { permits: 1, drain_seconds: 1, ..Settings::default() };
    World::start(Plan { ca: CaChoice::Rehearsal(rules), settings, ..Plan::new(sites.to_vec()) }).await
}

/// `burst` tokens, all of which come back within `period_seconds`.
pub(crate) fn limit(name: LimitName, burst: u32, period_seconds: u64) -> Limit {
    Limit { name, burst, count: burst, period_seconds }
}

/// One site for each of these names.
pub(crate) fn sites(names: &[&str]) -> Vec<Site> {
    names.iter().map(|name| Site::healthy(vec![hostname(name)])).collect()
}

/// How often the CA has refused somebody for a limit.
pub(crate) fn refusals(world: &World) -> anyhow::Result<u64> {
    Ok(world.audit()?.rate_limited)
}

/// Limit, burst and period of every override, and whether it is for one account, and for one key.
pub(crate) async fn learnt(world: &World) -> anyhow::Result<Vec<(String, i32, i64, bool, bool)>> {
    let select = "select limit_name, burst, period_seconds, account_id is not null, key is not null
                  from limit_overrides where origin = 'learnt' order by 1, 2";
    Ok(sqlx::query_as(select).fetch_all(world.store.pool()).await?)
}

/// The names with a certificate.
pub(crate) async fn certified(world: &World) -> anyhow::Result<Vec<String>> {
    let select = "select names[1] from issued_certificates order by 1";
    Ok(sqlx::query_scalar(select).fetch_all(world.store.pool()).await?)
}

pub(crate) fn name(text: &str) -> Hostname {
    hostname(text)
}
