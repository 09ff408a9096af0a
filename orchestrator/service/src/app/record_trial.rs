//! A record of no meaning, written, seen and removed: whether names could be proven by what is configured.

use std::sync::Arc;
use std::time::Duration;

use issuance::identifier::Hostname;
use issuance::time::Clock;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::challenge::dns01::{AUTHORITY, Change, challenge_name, digest, label_of};
use crate::challenge::propagation::Verdict;
use crate::clock::SystemClock;
use crate::config::Config;

use super::AppError;
use super::records::{Parts, parts};

/// How long the record may take to be seen: a person waits for it.
const SEEN_WITHIN: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_secs(2);
const WRITE_WITHIN: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trial {
    pub steps: Vec<Step>,
    /// The zone in which the record stands, or would; without the root's dot.
    pub zone: Option<String>,
    pub succeeded: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    pub step: &'static str,
    pub outcome: &'static str,
    pub detail: String,
}

impl Trial {
    fn note(&mut self, step: &'static str, succeeded: bool, detail: String) -> bool {
        self.succeeded &= succeeded;
        let outcome = if succeeded { "ok" } else { "failed" };
        self.steps.push(Step { step, outcome, detail });
        succeeded
    }
}

/// Tries it for one name. What was written is removed, whatever came of it.
pub async fn run(config: &Config, name: &Hostname, tenant: Option<&str>) -> Result<Trial, AppError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let Parts { providers, propagation } = parts(config, &clock)?;
    let mut trial = Trial { steps: Vec::new(), zone: None, succeeded: true };
    let asked = match challenge_name(name) {
        Ok(asked) => asked,
        Err(error) => {
            trial.note("name", false, error.to_string());
            return Ok(trial);
        }
    };
    let standing = match propagation.standing(&asked).await {
        Ok(standing) => standing,
        Err(verdict) => {
            trial.note("zone", false, detail_of(verdict));
            return Ok(trial);
        }
    };
    trial.zone = Some(standing.zone.as_str().trim_end_matches('.').to_owned());
    let owner = standing.owner;
    trial.note("zone", true, format!("the record stands at {owner}, in the zone {}", standing.zone));
    let Some((provider, zone)) = providers.serving(&owner, tenant) else {
        let advice = providers
            .own_zone()
            .map(|own| format!(": publish {asked}. CNAME {}.{own}.", label_of(&asked)))
            .unwrap_or_default();
        trial.note("provider", false, format!("no configured provider serves {owner}{advice}"));
        return Ok(trial);
    };
    trial.note("provider", true, format!("{provider}, for the zone {zone}"));
    if provider.name == AUTHORITY {
        trial.note(
            "written",
            true,
            "the service answers for this zone itself: nothing is written".to_owned(),
        );
        return Ok(trial);
    }
    let value = digest(&uuid::Uuid::new_v4().to_string());
    let values = [value.clone()];
    let added = Change { owner: owner.clone(), add: values.to_vec(), remove: Vec::new() };
    let started = Instant::now();
    let written = providers.write(provider, zone, &[added], WRITE_WITHIN).await;
    let took = |since: Instant| format!("after {:.1} s", since.elapsed().as_secs_f64());
    let is_written = trial.note(
        "written",
        written.is_ok(),
        match &written {
            Ok(()) => took(started),
            Err(error) => error.to_string(),
        },
    );
    if is_written {
        let deadline = started + SEEN_WITHIN;
        let report = loop {
            let report = propagation.look(asked.as_str(), &values).await;
            if report.verdict == Verdict::Visible || Instant::now() > deadline {
                break report;
            }
            sleep(LOOK_EVERY).await;
        };
        let seen = report.verdict == Verdict::Visible;
        trial.note("seen", seen, if seen { took(started) } else { detail_of(report.verdict) });
        for finding in report.findings {
            trial.note("finding", true, finding);
        }
    }
    // It may stand there although the answer was lost.
    let gone = Change { owner, add: Vec::new(), remove: values.to_vec() };
    let removed = providers.write(provider, zone, &[gone], WRITE_WITHIN).await;
    trial.note("removed", removed.is_ok(), removed.err().map(|error| error.to_string()).unwrap_or_default());
    Ok(trial)
}

fn detail_of(verdict: Verdict) -> String {
    match verdict {
        Verdict::Visible => String::new(),
        Verdict::NotYet { detail, .. } | Verdict::Unknown { detail } => detail,
    }
}
