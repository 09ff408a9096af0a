//! Validation: one real attempt per submission, in a task of its own, and what its verdict changes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use issuance::identifier::Hostname;
use issuance::limit::LimitName;
use issuance::time::Timestamp;

use crate::authorization::{self, Authorization, Event, Progress, Standing};
use crate::ca::Ca;
use crate::challenge::ChallengeKind;
use crate::endpoint::Endpoint;
use crate::faults::Effect;
use crate::http01::Web;
use crate::limits::Key;
use crate::problem::{Kind, Problem};
use crate::resolver::DnsView;
use crate::rules::CaRules;
use crate::state::{Number, State};
use crate::verdicts::Verdict;
use crate::{caa, dns_persist, dns01, http01};

/// How the CA looks at the world.
#[derive(Debug)]
pub(crate) struct Validator {
    /// Absent: everything is valid.
    dns: Option<DnsView>,
    web: Web,
    timeout: Duration,
    perspectives: u8,
    remote_perspectives_min: u8,
    /// Who we are in CAA records; absent: nobody is asked.
    caa_identities: Option<Vec<String>>,
}

/// One submitted challenge.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) authorization: Number<Authorization>,
    pub(crate) kind: ChallengeKind,
    pub(crate) name: Hostname,
    pub(crate) token: Box<str>,
    pub(crate) key_authorization: String,
    pub(crate) account_url: String,
    /// What the CA is called in records that stay.
    pub(crate) issuers: Arc<[String]>,
    pub(crate) at: Timestamp,
}

impl Validator {
    pub(crate) fn new(dns: Option<DnsView>, web: Web, rules: &CaRules) -> Self {
        Self {
            dns,
            web,
            timeout: Duration::from_millis(rules.validation_timeout_ms),
            perspectives: rules.perspectives.max(1),
            remote_perspectives_min: rules.remote_perspectives_min,
            caa_identities: rules.checks_caa.then(|| rules.caa_identities.clone()),
        }
    }

    pub(crate) fn can_validate(&self, kind: ChallengeKind) -> bool {
        match kind {
            ChallengeKind::Http01 | ChallengeKind::Dns01 | ChallengeKind::DnsPersist01 => true,
            ChallengeKind::TlsAlpn01 | ChallengeKind::Unknown => self.dns.is_none(),
        }
    }

    /// The primary looks first; if it is content, the remote perspectives look, of which one may fail.
    async fn validate(&self, attempt: &Attempt) -> Result<(), Problem> {
        let least = self.remote_perspectives_min;
        if self.perspectives.saturating_sub(1) < least {
            let detail = format!("Insufficient remote perspectives: need at least {least}");
            return Err(Problem::new(Kind::ServerInternal, detail));
        }
        let Some(dns) = &self.dns else { return Ok(()) };
        self.look(dns, attempt).await?;
        if let Some(identities) = &self.caa_identities {
            caa::check(dns, attempt, identities).await?;
        }
        let remotes = (1..self.perspectives).map(|_| self.look(dns, attempt));
        let mut failures = join_all(remotes).await.into_iter().filter_map(Result::err);
        match (failures.next(), failures.next()) {
            (Some(_), Some(problem)) => Err(problem.prefixed("During secondary validation: ")),
            _ => Ok(()),
        }
    }

    async fn look(&self, dns: &DnsView, attempt: &Attempt) -> Result<(), Problem> {
        match attempt.kind {
            ChallengeKind::Http01 => http01::validate(dns, attempt, &self.web, self.timeout).await,
            ChallengeKind::Dns01 => {
                match tokio::time::timeout(self.timeout, dns01::validate(dns, attempt)).await {
                    Ok(verdict) => verdict,
                    Err(_) => Err(Problem::new(Kind::Dns, "DNS problem: query timed out")),
                }
            }
            ChallengeKind::DnsPersist01 => {
                match tokio::time::timeout(self.timeout, dns_persist::validate(dns, attempt)).await {
                    Ok(verdict) => verdict,
                    Err(_) => Err(Problem::new(Kind::Dns, "DNS problem: query timed out")),
                }
            }
            ChallengeKind::TlsAlpn01 | ChallengeKind::Unknown => {
                Err(Problem::new(Kind::ServerInternal, "this CA does not validate challenges of this type"))
            }
        }
    }
}

/// Begins with a submission. What strikes a challenge in the CA strikes it here, and not while it is answered.
pub(crate) fn start(ca: &Arc<Ca>, attempt: Attempt) {
    let fault = ca.draw(Endpoint::Challenge, None, |effect| {
        matches!(
            effect,
            Effect::SlowValidation { .. } | Effect::HoldValidation | Effect::ValidationOutage { .. }
        )
    });
    if let Some(Effect::ValidationOutage { after_ms }) = fault {
        let outcome = Err(Problem::new(Kind::ServerInternal, "Could not communicate with VA"));
        let (mut state, now) = ca.state();
        state.verdicts.keep_back(Verdict { attempt, outcome }, now.after(Duration::from_millis(after_ms)));
        return;
    }
    ca.activity.begin_validation();
    ca.tasks.spawn(run(Arc::clone(ca), attempt, fault));
}

/// Looks, and enters the verdict; a CA that is stopped drops it.
async fn run(ca: Arc<Ca>, attempt: Attempt, fault: Option<Effect>) {
    let mut kept_back = Duration::ZERO;
    match fault {
        Some(Effect::SlowValidation { look_ms, verdict_ms }) => {
            kept_back = Duration::from_millis(verdict_ms);
            ca.wait(Duration::from_millis(look_ms)).await;
        }
        // The CA does not forget a challenge.
        Some(Effect::HoldValidation) => drop(ca.hold().await),
        _ => (),
    }
    let outcome = tokio::select! {
        biased;
        () = ca.stop.cancelled() => return,
        outcome = ca.validator.validate(&attempt) => outcome,
    };
    {
        let (mut state, now) = ca.state();
        let verdict = Verdict { attempt, outcome };
        if kept_back.is_zero() {
            conclude(&mut state, verdict, &ca.rules, now);
        } else {
            state.verdicts.keep_back(verdict, now.after(kept_back));
        }
    }
    ca.activity.end_validation();
}

/// Enters a verdict.
pub(crate) fn conclude(state: &mut State, verdict: Verdict, rules: &CaRules, now: Timestamp) {
    let Verdict { attempt, outcome: verdict } = verdict;
    let Some(row) = state.ledger.find(attempt.authorization) else { return };
    let (account, profile, by) = (row.account, Arc::clone(&row.profile), attempt.kind);
    let awaited = row.standing() == Standing::Submitted;
    let failed = verdict.is_err();
    if !awaited {
        state.ledger.note(attempt.authorization, now, Event::VerdictDropped);
    } else if let Err(error) = verdict {
        state.ledger.change(attempt.authorization, |row| {
            row.progress = Progress::Invalid { by, at: now, error: Box::new(error) };
            row.history.push((now, Event::Failed));
        });
    } else {
        let life = rules.profile(&profile).unwrap_or(&rules.default_profile).valid_authorization_seconds;
        state.ledger.change(attempt.authorization, |row| {
            row.progress = Progress::Valid { by, at: now };
            row.expires_at = now.after(Duration::from_secs(life));
            row.history.push((now, Event::Validated));
        });
        let place = (account, profile, attempt.name.clone());
        state.reusable.entry(place).or_default().push(attempt.authorization);
        let place = Key::Name(account, attempt.name.clone());
        state.limits.reset(LimitName::ConsecutiveFailuresPerHostname, place);
    }
    // Boulder charges a failure also where its verdict came too late to count.
    if failed {
        authorization::charge_failure(state, account, &attempt.name, now);
    }
}
