//! Lessons, in rows: what an answer of the CA says of the mirror of its limits, which is told here as well.

use issuance::answer::{Applied, Consequence};
use issuance::identifier::Hostname;
use issuance::ids::AccountId;
use issuance::lesson::Lesson;
use issuance::limit::LimitName;
use issuance::mirror::{BucketKey, Rules};
use issuance::order::Order;
use issuance::profile::CaProfile;
use issuance::time::Timestamp;
use metrics::{counter, describe_counter};
use tracing::warn;

use crate::store::aftermath::{AccountChange, Aftermath};
use crate::store::lessons::{Failure, Lessons, LimitTold, PausedName};
use crate::store::{Store, StoreError};

const DRIFT: &str = "lockkeeper_limit_mirror_drift_total";
const REFUSALS: &str = "lockkeeper_ca_refusals_total";

/// Those limits that count a failure of a hostname.
const OF_FAILURES: [LimitName; 2] =
    [LimitName::FailedAuthorizationsPerHostname, LimitName::ConsecutiveFailuresPerHostname];

/// Registers what is counted here, so that it is there before it happens.
pub(super) fn register() {
    describe_counter!(DRIFT, "Refusals for a limit of which the mirror had a token left, by limit.");
    describe_counter!(REFUSALS, "Answers with which the CA put somebody off, by kind.");
    for limit in LimitName::ALL {
        counter!(DRIFT, "limit" => limit.as_str()).increment(0);
    }
    for kind in ["limit", "unattributed", "paused", "busy"] {
        counter!(REFUSALS, "kind" => kind).increment(0);
    }
}

/// Whom an answer concerns, and by which rules.
#[derive(Debug, Clone, Copy)]
pub(super) struct Class<'a> {
    pub(super) store: &'a Store,
    pub(super) account: AccountId,
    pub(super) profile: &'a CaProfile,
    pub(super) now: Timestamp,
}

impl Class<'_> {
    /// Adds what `applied` teaches to what is written with it.
    pub(super) async fn learn(self, applied: &Applied, aftermath: &mut Aftermath) -> Result<(), StoreError> {
        let is_lesson = |one: &Consequence| {
            matches!(
                one,
                Consequence::Unspent
                    | Consequence::Limited { .. }
                    | Consequence::Busy { .. }
                    | Consequence::Charged { .. }
                    | Consequence::Paused { .. }
            )
        };
        if !applied.consequences.iter().any(is_lesson) {
            return Ok(());
        }
        let rules = self.store.rules(self.account, self.profile, self.now).await?;
        let mut lessons = Lessons::default();
        for consequence in &applied.consequences {
            match consequence {
                Consequence::Unspent => lessons.unspent = true,
                Consequence::Limited { lesson } => match self.told(lesson, &applied.order, &rules).await? {
                    Some(told) => lessons.limits.push(told),
                    None => self.hold(lesson.until, "unattributed", aftermath),
                },
                Consequence::Busy { until } => self.hold(*until, "busy", aftermath),
                Consequence::Charged { hostname, authorization } => {
                    lessons.failures.extend(self.failure(hostname, authorization, &rules));
                }
                Consequence::Paused { hostnames, link } => {
                    counter!(REFUSALS, "kind" => "paused").increment(1);
                    lessons.paused.extend(hostnames.iter().map(|hostname| PausedName {
                        hostname: hostname.clone(),
                        unpause_url: link.clone(),
                    }));
                }
                _ => {}
            }
        }
        aftermath.lessons = (!lessons.is_empty()).then_some((self.account, lessons));
        Ok(())
    }

    /// What cannot be laid to one bucket concerns the whole account.
    fn hold(self, until: Timestamp, kind: &'static str, aftermath: &mut Aftermath) {
        counter!(REFUSALS, "kind" => kind).increment(1);
        warn!(event = "ca.puts_off", %until, kind, "The CA puts the account off until {until}");
        aftermath.account = Some((self.account, AccountChange::HeldUntil(until)));
    }

    /// `None`: no bucket of ours.
    async fn told(
        self,
        lesson: &Lesson,
        order: &Order,
        rules: &Rules,
    ) -> Result<Option<LimitTold>, StoreError> {
        let Some(told) = &lesson.told else { return Ok(None) };
        let Some(bucket) = told.bucket(self.account, &order.names) else { return Ok(None) };
        let correction = told.correction(rules, &bucket, self.account);
        let known = rules.bucket(&bucket);
        let stated = correction.as_ref().and_then(|numbers| numbers.told().bucket());
        let Some(holds) = stated.or(known) else { return Ok(None) };
        let full_at = self.store.mirrored(self.account, &bucket).await?.unwrap_or(self.now);
        let expected = known.map_or(0, |known| known.remaining(full_at, self.now));
        let limit = bucket.limit.as_str();
        counter!(REFUSALS, "kind" => "limit").increment(1);
        if expected > 0 {
            counter!(DRIFT, "limit" => limit).increment(1);
        }
        warn!(
            event = "ca.said_no",
            limit,
            key = &*bucket.key,
            expected.remaining = expected,
            expected.burst = known.map(|known| known.burst()),
            said.size = told.size.map(|(burst, seconds)| format!("{burst} in {seconds} s")),
            said.until = %lesson.until,
            corrected = correction.is_some(),
            "The CA refuses for {limit} until {}, and the mirror had {expected} left",
            lesson.until
        );
        let full_at = holds.emptied_until(lesson.until);
        Ok(Some(LimitTold { bucket, full_at, until: lesson.until, correction }))
    }

    fn failure(self, hostname: &Hostname, authorization: &str, rules: &Rules) -> Option<Failure> {
        let counted: Vec<_> = OF_FAILURES
            .into_iter()
            .filter_map(|limit| {
                let key = BucketKey::of_hostname(limit, self.account, hostname);
                Some((limit, rules.bucket(&key)?))
            })
            .collect();
        let failure = Failure { authorization: authorization.into(), hostname: hostname.clone(), counted };
        (!failure.counted.is_empty()).then_some(failure)
    }
}
