//! Proof of names at home, with what is noted of it: the verdict is the preflight's, less the checks that keep nobody back.

use std::sync::Arc;
use std::time::Duration;

use issuance::answer::Proof;
use issuance::check::Waived;
use issuance::fault::Fault;
use issuance::identifier::{Hostname, Identifiers};
use issuance::ids::AccountId;
use issuance::problem::Problem;
use issuance::time::{Clock, Timestamp};
use tracing::{info, warn};

use crate::challenge::preflight::{NameReport, Preflight, Verdict};
use crate::chance::draw;
use crate::store::Store;
use crate::store::check_overrides;
use crate::store::checks::{CaSaid, CheckRecord, CheckVerdict, Said};

use super::notes::{Note, Notes};

/// A name that was drawn is through, or has failed, within this.
const SAMPLE_LASTS: Duration = Duration::from_hours(2);

#[derive(Debug)]
pub(super) struct Prover {
    pub(super) store: Store,
    pub(super) account: AccountId,
    /// `None`: names are not checked at home (the operator's choice).
    pub(super) preflight: Option<Arc<Preflight>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) notes: Notes,
    /// Of a thousand names that are not ready, so many are put to the CA all the same.
    pub(super) sampled_per_thousand: u16,
}

impl Prover {
    /// Checks names before an order is placed for them.
    pub(super) async fn prove(&self, names: &Identifiers) -> Vec<(Hostname, Proof)> {
        let Some(preflight) = &self.preflight else {
            return names.iter().map(|name| (name.clone(), Proof::Ready)).collect();
        };
        self.judge_all(preflight.check(names).await).await
    }

    async fn judge_all(&self, reports: Vec<NameReport>) -> Vec<(Hostname, Proof)> {
        let waived = self.waived(&reports).await;
        let mut proofs = Vec::with_capacity(reports.len());
        for report in reports {
            let proof = self.judge(&report, waived_of(&waived, &report.hostname)).await;
            proofs.push((report.hostname, proof));
        }
        proofs
    }

    /// Checks whether the CA may issue for names that are proven in DNS, wildcards too.
    pub(super) async fn prove_issuable(&self, names: &Identifiers) -> Vec<(Hostname, Proof)> {
        let Some(preflight) = &self.preflight else {
            return names.iter().map(|name| (name.clone(), Proof::Ready)).collect();
        };
        self.judge_all(preflight.check_issuable(names).await).await
    }

    /// Whether the response is served where the CA would look, as far as a check may keep the name back.
    pub(super) async fn is_served(&self, name: &Hostname, token: &str, key_authorization: &str) -> bool {
        let Some(preflight) = &self.preflight else { return true };
        let report = preflight.sees(name, token, key_authorization).await;
        if report.verdict == Verdict::Ready {
            return true;
        }
        let waived = self.waived(std::slice::from_ref(&report)).await;
        report.judged(waived_of(&waived, name)) == Verdict::Ready
    }

    /// Keeps what the CA said of a name.
    pub(super) fn heard(&self, name: &Hostname, problem: Option<&Problem>, offers_persist: bool) {
        if problem.is_none() && !offers_persist {
            return;
        }
        self.notes.take(Note::CaSaid(CaSaid {
            hostname: name.clone(),
            at: self.clock.now(),
            problem: problem.cloned(),
            offers_persist,
        }));
    }

    async fn judge(&self, report: &NameReport, waived: &Waived) -> Proof {
        let now = self.clock.now();
        let mut verdict = report.judged(waived);
        if matches!(verdict, Verdict::NotReady { .. }) && self.is_drawn(report, now).await {
            verdict = Verdict::Ready;
        }
        let (proof, verdict) = match verdict {
            Verdict::Ready => (Proof::Ready, CheckVerdict::Ready),
            Verdict::NotReady { class, detail } => {
                let fault = Fault::new(class, detail);
                (Proof::NotReady(fault.clone()), CheckVerdict::NotReady(fault))
            }
            Verdict::Unknown { detail } => (Proof::Unknown, CheckVerdict::Unknown { detail }),
        };
        let says = (proof == Proof::Ready).then(|| Said { passed: report.passed(), alarms: report.alarms() });
        self.notes.take(Note::Checked(CheckRecord {
            hostname: report.hostname.clone(),
            at: now,
            verdict,
            findings: report.findings.clone(),
            says,
        }));
        proof
    }

    /// Whether it is put to the CA all the same, to learn how often its checks are wrong. What is drawn is written down
    /// first: the look at the real response has to know it.
    async fn is_drawn(&self, report: &NameReport, now: Timestamp) -> bool {
        const THOUSAND: Duration = Duration::from_secs(1_000);
        let alarms = report.alarms();
        let share = Duration::from_secs(self.sampled_per_thousand.into());
        if alarms.is_empty() || draw().of(THOUSAND, 1.0) >= share {
            return false;
        }
        let until = Some(now.after(SAMPLE_LASTS));
        let note = "drawn to learn how often the check is wrong";
        for check in alarms {
            let name = &report.hostname;
            match check_overrides::draw(&self.store, name, check, note, now, until).await {
                Ok(true) => {}
                // Without an owner, or without a database: it is left as it is.
                Ok(false) => return false,
                Err(error) => {
                    warn!(
                        event = "sample.failed",
                        error = &error as &dyn std::error::Error,
                        "A draw could not be written down"
                    );
                    return false;
                }
            }
        }
        info!(
            event = "sample.drawn",
            "{} is not ready, and drawn to be ordered all the same", report.hostname
        );
        true
    }

    /// What keeps nobody back, for those that something was found wrong with.
    async fn waived(&self, reports: &[NameReport]) -> Vec<(String, Waived)> {
        let is_held = |report: &&NameReport| matches!(report.verdict, Verdict::NotReady { .. });
        let names: Vec<String> =
            reports.iter().filter(is_held).map(|report| report.hostname.to_string()).collect();
        if names.is_empty() {
            return Vec::new();
        }
        self.store.waived(self.account, &names, self.clock.now()).await.unwrap_or_else(|error| {
            warn!(
                event = "checks.waived_unknown",
                error = &error as &dyn std::error::Error,
                "Which checks are skipped could not be read"
            );
            Vec::new()
        })
    }
}

fn waived_of<'a>(waived: &'a [(String, Waived)], name: &Hostname) -> &'a Waived {
    static NONE: Waived = Waived::NONE;
    waived.iter().find(|(of, _)| of == name.as_str()).map_or(&NONE, |(_, waived)| waived)
}
