//! Consequences, in rows: what a decision changes besides its order.

use std::time::Duration;

use issuance::answer::{Applied, Consequence};
use issuance::backoff::{self, HostnameBackoff, PAUSED_FAILURES};
use issuance::fault::{FailureClass, Fault};
use issuance::identifier::Hostname;
use issuance::ids::AccountId;
use issuance::time::{Fraction, Timestamp};

use crate::store::StoreError;
use crate::store::aftermath::{AccountChange, Aftermath, NameRests, Successor, SuccessorKind};

use super::lessons::Class;

/// Turns the consequences of one decision into what is written with it. Reads what is remembered of the
/// names concerned; the flight on each of them makes sure that nobody else writes it meanwhile.
pub(super) async fn aftermath(
    class: Class<'_>,
    applied: &Applied,
    jitter: Fraction,
) -> Result<Aftermath, StoreError> {
    let Class { store, account, now, .. } = class;
    let mut aftermath = Aftermath::default();
    if applied.consequences.is_empty() {
        return Ok(aftermath);
    }
    let names: Vec<String> =
        applied.order.names.iter().map(|name| name.validation_target().to_owned()).collect();
    let remembered = store.remembered_failures(account, &names).await?;
    let backoff_of = |hostname: &Hostname| {
        let found = remembered.iter().find(|one| one.hostname.as_str() == hostname.validation_target());
        found.map_or_else(HostnameBackoff::default, |one| one.backoff)
    };
    for consequence in &applied.consequences {
        match consequence {
            Consequence::NameFailed { hostname, fault, at_ca } => {
                let backoff = backoff_of(hostname).after_failure(*at_ca, now, jitter);
                aftermath.rests.push(NameRests {
                    account,
                    hostname: hostname.clone(),
                    failures: backoff.failures,
                    until: backoff.until,
                    at_ca: *at_ca,
                    fault: fault.clone(),
                });
            }
            Consequence::Split { names } => {
                let kind = SuccessorKind::Part { names: names.clone(), proven_at: now };
                aftermath.successors.push(Successor { order: store.mint_order(now), kind });
            }
            Consequence::Paused { hostnames, .. } => {
                let rests = hostnames.iter().map(|hostname| paused(account, hostname, now, jitter));
                aftermath.rests.extend(rests);
            }
            // Told below, and by `lessons`.
            Consequence::Retry { .. }
            | Consequence::Limited { .. }
            | Consequence::Busy { .. }
            | Consequence::Unspent
            | Consequence::Charged { .. } => {}
            Consequence::AccountStopped { reason } => {
                aftermath.account = Some((account, AccountChange::Stopped { reason: reason.clone() }));
            }
        }
    }
    for consequence in &applied.consequences {
        if let Consequence::Retry { fault } = consequence {
            let names_rest = aftermath.rests.iter().map(|rest| rest.until).max();
            let failures = applied.order.failures.saturating_add(1);
            let due_at = names_rest.unwrap_or_else(|| now.after(backoff::rest(failures, jitter)));
            let kind = SuccessorKind::Retry { fault: fault.clone(), due_at, failures };
            aftermath.successors.push(Successor { order: store.mint_order(now), kind });
        }
    }
    class.learn(applied, &mut aftermath).await?;
    Ok(aftermath)
}

/// Until a person has opened the CA's link nothing else is of use; looked at daily, should he not tell us.
fn paused(account: AccountId, hostname: &Hostname, now: Timestamp, jitter: Fraction) -> NameRests {
    let until = now.after(backoff::rest(PAUSED_FAILURES, jitter));
    let fault = Fault::new(FailureClass::PausedAtCa, "the CA has paused this name");
    let hostname = hostname.clone();
    NameRests { account, hostname, failures: PAUSED_FAILURES, until, at_ca: true, fault }
}

/// Two ends of one moment should not meet again: a little apart is enough.
pub(super) const SHORT_WAIT: Duration = Duration::from_secs(1);
