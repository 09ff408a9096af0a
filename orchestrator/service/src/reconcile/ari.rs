//! When the CA wants certificates renewed (ARI, RFC 9773): its windows, asked for as often as it says.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use issuance::renewal::{self, Change, Window};
use issuance::time::Timestamp;
use tracing::{debug, info, warn};

use crate::acme::AcmeError;
use crate::chance::draw;
use crate::store::renewals::{Polled, ToPoll};

use super::renewal_instruments::PollInstruments;
use super::{Pass, REQUESTS_AT_ONCE, ReconcileError, ReconcileParts, Reconciler};

/// Who dies with polls in hand leaves them to others after this.
const CLAIMED_FOR: Duration = Duration::from_mins(10);
/// Polls written together.
const CHUNK: u16 = 64;
/// So many windows put into the past by one pass are an incident, of which somebody should know.
const INCIDENT_MIN: usize = 10;
/// What is longer is no page to show anybody.
const EXPLANATION_BYTES_MAX: usize = 2_000;

const MOVED: &str = "moved";
const PAST: &str = "past";
const FAILED: &str = "failed";

#[derive(Debug)]
pub struct Ari {
    parts: ReconcileParts,
    polls_max: u16,
}

impl Ari {
    pub fn new(parts: ReconcileParts, polls_max: u16) -> Self {
        PollInstruments::register();
        Self { parts, polls_max }
    }

    async fn poll(&self, asked: ToPoll, now: Timestamp) -> (Polled, Result<Change, AcmeError>) {
        let ToPoll { certificate, order, renewal_id, validity, plan, failures } = asked;
        match self.parts.account.renewal_info(&renewal_id).await {
            Ok(reply) => {
                let window = Window { start: reply.body.start, end: reply.body.end };
                let (plan, change) = plan.informed(window, validity, now, draw());
                let poll_at = renewal::next_poll(validity, now, reply.retry_after);
                let explanation_url = reply.body.explanation_url.map(String::from);
                let explanation_url = explanation_url.filter(|url| is_a_page(url));
                (Polled { certificate, order, plan, explanation_url, poll_at, failures: 0 }, Ok(change))
            }
            Err(error) => {
                let failures = failures.saturating_add(1);
                let told = error.problem().and_then(|problem| problem.retry_after);
                let poll_at = renewal::next_poll_after_failure(validity, now, failures, told, draw());
                (Polled { certificate, order, plan, explanation_url: None, poll_at, failures }, Err(error))
            }
        }
    }

    fn tell(polled: &Polled, outcome: &Result<Change, AcmeError>, pass: &mut Pass) {
        let certificate = polled.certificate;
        match outcome {
            Ok(change) => {
                PollInstruments::answered(*change);
                match change {
                    Change::First | Change::Same => {}
                    Change::Moved => {
                        pass.add(MOVED, 1);
                        info!(
                            event = "renewal.window_moved",
                            certificate.id = %certificate,
                            renew_at = %polled.plan.renew_at,
                            "Certificate {certificate}: the CA has moved its window; it is renewed at {}",
                            polled.plan.renew_at
                        );
                    }
                    Change::Past => {
                        pass.add(PAST, 1);
                        warn!(
                            event = "renewal.window_over",
                            certificate.id = %certificate,
                            explanation = polled.explanation_url,
                            "Certificate {certificate}: its window is over, so it is renewed now"
                        );
                    }
                    Change::Nonsense => {
                        warn!(event = "renewal.window_backwards", certificate.id = %certificate, "Certificate {certificate}: the CA's window ends before it begins");
                    }
                }
            }
            Err(error) => {
                PollInstruments::failed();
                pass.add(FAILED, 1);
                debug!(
                    certificate.id = %certificate,
                    error = error as &dyn std::error::Error,
                    "The CA did not tell when it wants certificate {certificate} renewed"
                );
            }
        }
    }
}

impl Reconciler for Ari {
    const NAME: &'static str = "ari";
    const KINDS: &'static [&'static str] = &[MOVED, PAST, FAILED];

    async fn pass(&self, now: Timestamp) -> Result<Pass, ReconcileError> {
        let ReconcileParts { store, account_id, clock, .. } = &self.parts;
        let mut pass = Pass::default();
        let mut left = self.polls_max;
        let mut pulled = Vec::new();
        while left > 0 {
            let chunk = left.min(CHUNK);
            let claimed = store.claim_renewal_polls(*account_id, now, now.after(CLAIMED_FOR), chunk).await?;
            let count = u16::try_from(claimed.len()).unwrap_or(chunk);
            if count == 0 {
                break;
            }
            let outcomes: Vec<_> = stream::iter(claimed)
                .map(|asked| self.poll(asked, clock.now()))
                .buffer_unordered(REQUESTS_AT_ONCE)
                .collect()
                .await;
            for (polled, outcome) in &outcomes {
                Self::tell(polled, outcome, &mut pass);
                // One that was over while nobody looked is no incident.
                if matches!(outcome, Ok(Change::Past)) && polled.plan.at_once {
                    pulled.push(polled.order);
                }
            }
            let polled: Vec<Polled> = outcomes.into_iter().map(|(polled, _)| polled).collect();
            store.renewals_polled(&polled, clock.now()).await?;
            left -= count;
            if count < chunk {
                break;
            }
        }
        if pulled.len() >= INCIDENT_MIN && store.tell_incident(*account_id, &pulled, clock.now()).await? {
            warn!(
                event = "renewal.incident",
                certificates = pulled.len(),
                "The CA wants {} certificates replaced at once: a campaign tells whether all will be there in time",
                pulled.len()
            );
        }
        Ok(pass)
    }
}

/// It is shown to people: nothing but an address of the web.
fn is_a_page(url: &str) -> bool {
    url.len() <= EXPLANATION_BYTES_MAX
        && (url.starts_with("https://") || url.starts_with("http://"))
        && url.bytes().all(|byte| byte.is_ascii_graphic())
}
