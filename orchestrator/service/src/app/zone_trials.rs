//! Each zone that a configured provider serves, tried: what `lockkeeper doctor` says of DNS providers.

use futures_util::future::join_all;
use issuance::identifier::Hostname;

use super::record_trial::{self, Trial};
use crate::config::Config;
use crate::config::Dns01Provider;
use crate::doctor::Diagnosis;

const WHAT: &str = "DNS provider";
const DELEGATION: &str = "DNS delegation";
/// The label below the zone that the record of no meaning is written for.
const LABEL: &str = "lockkeeper-doctor";

/// Whether the zone that the service serves itself is delegated to it. And each zone of each provider: writes a record,
/// sees it on all of the zone's name servers, and removes it. One zone of a provider after the other: it has its limits.
pub async fn run(config: &Config) -> Vec<Diagnosis> {
    let providers = config.dns01.provider.iter().map(|provider| try_all(config, provider));
    let (own, providers) = tokio::join!(own_zone(config), join_all(providers));
    own.into_iter().chain(providers.into_iter().flatten()).collect()
}

async fn own_zone(config: &Config) -> Option<Diagnosis> {
    let zone = config.authority.zone.as_deref()?;
    let servers = config.authority.name_servers.join(", ");
    let fix = format!(
        "have the parent of {zone} delegate it to {servers}, and let UDP and TCP in where `[authority]` listens"
    );
    let name = match Hostname::parse(&format!("{LABEL}.{zone}")) {
        Ok(name) => name,
        Err(error) => return Some(Diagnosis::fail(DELEGATION, format!("{zone}: {error}"), fix)),
    };
    let trial = match record_trial::run(config, &name, None).await {
        Ok(trial) => trial,
        Err(error) => return Some(Diagnosis::fail(DELEGATION, format!("{zone}: {error}"), fix)),
    };
    Some(match trial.zone.as_deref() {
        Some(found) if found.eq_ignore_ascii_case(zone.trim_end_matches('.')) => {
            Diagnosis::ok(DELEGATION, format!("{zone} is delegated, and its servers answer"))
        }
        Some(found) => {
            Diagnosis::fail(DELEGATION, format!("{zone} is not delegated: {found} answers for it"), fix)
        }
        None => Diagnosis::fail(DELEGATION, format!("{zone}: {}", steps(&trial)), fix),
    })
}

async fn try_all(config: &Config, provider: &Dns01Provider) -> Vec<Diagnosis> {
    let mut diagnoses = Vec::with_capacity(provider.zones.len());
    for zone in &provider.zones {
        diagnoses.push(diagnose(config, provider, zone).await);
    }
    diagnoses
}

async fn diagnose(config: &Config, provider: &Dns01Provider, zone: &str) -> Diagnosis {
    let place = format!("{}, zone {zone}", provider.name);
    let fix = format!("see `lockkeeper dns01 test {LABEL}.{zone}` and the provider's settings and secret");
    let name = match Hostname::parse(&format!("{LABEL}.{zone}")) {
        Ok(name) => name,
        Err(error) => {
            return Diagnosis::fail(
                WHAT,
                format!("{place}: {error}"),
                "name a zone that exists in public DNS",
            );
        }
    };
    let tenant = provider.tenants.first().map(String::as_str);
    match record_trial::run(config, &name, tenant).await {
        Ok(trial) if trial.succeeded => Diagnosis::ok(WHAT, format!("{place}: {}", steps(&trial))),
        Ok(trial) => Diagnosis::fail(WHAT, format!("{place}: {}", steps(&trial)), fix),
        Err(error) => Diagnosis::fail(WHAT, format!("{place}: {error}"), fix),
    }
}

/// What was done, and of what went wrong why.
fn steps(trial: &Trial) -> String {
    let told = trial.steps.iter().filter(|step| !PREPARING.contains(&step.step) || step.outcome != "ok");
    let told = told.map(|step| match step.outcome {
        "ok" => step.step.to_owned(),
        outcome => format!("{} {outcome}: {}", step.step, step.detail),
    });
    told.collect::<Vec<_>>().join(", ")
}

/// Steps that say nothing where they succeed.
const PREPARING: [&str; 2] = ["zone", "provider"];
