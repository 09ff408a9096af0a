//! What to ask the CA for.

use std::time::Duration;

use super::constraint::Constraint;
use super::run::Trial;
use super::{End, Typical};
use crate::gcra::Bucket;
use crate::limit::{Limit, LimitName};
use crate::mirror::BucketKey;
use crate::time::Timestamp;

/// Plays spent on the search for one number.
const PLAYS: usize = 3_000_000;
const STEPS_MIN: usize = 3;
const STEPS_MAX: usize = 24;
/// Done "as if no limit held us up" is this much of the time more, at the most: the last tenth of a percent would take
/// a limit as large as the fleet.
const WORKER_BOUND_SLACK: f64 = 0.02;

/// By when everything is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Within(Duration),
    /// As soon as our own hands allow.
    WorkerBound,
}

/// The overrides that bring the finish under a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    pub target: Target,
    /// Whether it is met with these; with none, where there are none.
    pub reached: bool,
    /// By the largest first; of registered domains, the hundred largest.
    pub asks: Vec<Ask>,
    /// Registered domains that would need one too and are not listed.
    pub asks_left_out: usize,
    /// The finish with all of them, at the median.
    pub finish: Option<Timestamp>,
    /// What holds up the last one then.
    pub binding: Option<Constraint>,
}

/// One override to ask for: the smallest that does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub limit: LimitName,
    /// The registered domain; `None` for the account.
    pub key: Option<Box<str>>,
    /// Burst, and tokens a period.
    pub count: u32,
    pub count_now: u32,
    pub period_seconds: u64,
}

/// Overrides of registered domains that are listed.
const ASKS_MAX: usize = 100;

/// Limits that a CA raises on request.
const RAISED: [Constraint; 2] =
    [Constraint::NewOrdersPerAccount, Constraint::CertificatesPerRegisteredDomain];

pub(super) fn proposals(typical: &Typical<'_>) -> Vec<Proposal> {
    let Some(finish) = typical.finish else { return Vec::new() };
    let free = typical.play(&Trial { lifted: RAISED.to_vec(), ..Trial::default() });
    let free = free.map_or(finish, |end| end.at).min(finish);
    let question = &typical.books.question;
    let slack = question.now.until(free).mul_f64(WORKER_BOUND_SLACK);
    let within = question.targets.iter().map(|target| {
        let at = question.now.after(*target);
        (Target::Within(*target), at, at >= free)
    });
    within
        .chain([(Target::WorkerBound, free.after(slack), true)])
        .map(|(target, at, reachable)| {
            // What cannot be had is come as near to as can be.
            let goal = if reachable { at } else { free.after(slack) };
            let mut proposal = Search::new(typical, goal).proposal(target);
            proposal.reached = proposal.finish.is_some_and(|finish| finish <= at);
            proposal
        })
        .collect()
}

struct Search<'a> {
    typical: &'a Typical<'a>,
    goal: Timestamp,
    /// Until the last order has to begin.
    time: Duration,
    trial: Trial,
}

impl<'a> Search<'a> {
    fn new(typical: &'a Typical<'a>, goal: Timestamp) -> Self {
        let question = &typical.books.question;
        let begun_by = goal.before(question.capacity.order);
        Self { typical, goal, time: question.now.until(begun_by), trial: Trial::default() }
    }

    fn proposal(mut self, target: Target) -> Proposal {
        let as_is = End { at: self.typical.finish.unwrap_or(self.goal), binding: None };
        if as_is.at <= self.goal {
            return Proposal {
                target,
                reached: true,
                asks: Vec::new(),
                asks_left_out: 0,
                finish: Some(as_is.at),
                binding: None,
            };
        }
        let mut asks = self.domains();
        let asks_left_out = asks.len().saturating_sub(ASKS_MAX);
        asks.truncate(ASKS_MAX);
        let mut end = self.typical.play(&self.trial).unwrap_or(as_is);
        if end.at > self.goal
            && let Some((ask, reached)) = self.new_orders()
        {
            asks.insert(0, ask);
            end = reached;
        }
        let (finish, binding) = (Some(end.at), end.binding);
        Proposal { target, reached: end.at <= self.goal, asks, asks_left_out, finish, binding }
    }

    /// Each registered domain for which tokens come too slowly, by arithmetic: the last of its orders takes the last
    /// token.
    fn domains(&mut self) -> Vec<Ask> {
        let books = self.typical.books;
        let mut asks = Vec::new();
        for (place, scarce) in (0_u32..).zip(&books.scarce) {
            if scarce.limit != LimitName::CertificatesPerRegisteredDomain {
                continue;
            }
            let key = BucketKey { limit: scarce.limit, key: scarce.key.clone() };
            let Some(limit) = books.question.rules.limit(&key) else { continue };
            let owed = books.question.now.until(scarce.meter.full_at);
            let is_enough = |bucket: Bucket| {
                let all = bucket.refill().saturating_mul(scarce.demand);
                owed + all <= bucket.horizon() + self.time
            };
            if let Some((count, bucket)) = smallest(&limit, scarce.demand, is_enough) {
                self.trial.scarce.insert(place, bucket);
                asks.push(Ask {
                    limit: scarce.limit,
                    key: Some(scarce.key.clone()),
                    count,
                    count_now: limit.count,
                    period_seconds: limit.period_seconds,
                });
            }
        }
        asks.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.key.cmp(&other.key)));
        asks
    }

    /// The account's limit, by arithmetic first and by playing then.
    fn new_orders(&mut self) -> Option<(Ask, End)> {
        let books = self.typical.books;
        let (_, full_at) = books.new_orders?;
        let limit = books.question.rules.limit(&BucketKey::of_account(books.question.account))?;
        let owed = books.question.now.until(full_at);
        let charged = u32::try_from(self.typical.charged).unwrap_or(u32::MAX);
        let enough = |bucket: Bucket| {
            let all = bucket.refill().saturating_mul(charged);
            owed + all <= bucket.horizon() + self.time
        };
        let (guess, _) = smallest(&limit, charged.max(limit.count + 1), enough)?;
        let (mut too_few, mut guess) = (limit.count, guess);
        let mut found = None;
        let steps = (PLAYS / books.entries.len().max(1)).clamp(STEPS_MIN, STEPS_MAX);
        for _ in 0..steps {
            let bucket = raised(&limit, guess)?;
            let end = self.typical.play(&Trial { new_orders: Some(bucket), ..self.trial.clone() })?;
            if end.at <= self.goal {
                found = Some((guess, end));
            } else {
                too_few = too_few.max(guess);
            }
            // A hundredth beside the arithmetic is where it mostly is; what is left is halved.
            let hundredth = (guess / 100).max(1);
            guess = match found {
                Some((enough, _)) if enough - too_few <= (enough / 1_000).max(1) => break,
                Some((enough, _)) => enough - hundredth.min((enough - too_few) / 2).max(1),
                None => guess.saturating_add(hundredth.saturating_mul(2)),
            };
        }
        // Only if the steps did not do: the latest guess is the best one.
        let (count, end) = if let Some(found) = found {
            found
        } else {
            let bucket = raised(&limit, guess)?;
            (guess, self.typical.play(&Trial { new_orders: Some(bucket), ..self.trial.clone() })?)
        };
        let ask = Ask {
            limit: limit.name,
            key: None,
            count,
            count_now: limit.count,
            period_seconds: limit.period_seconds,
        };
        Some((ask, end))
    }
}

fn raised(limit: &Limit, count: u32) -> Option<Bucket> {
    Limit { burst: count, count, ..*limit }.bucket()
}

/// The smallest limit above the present one that is enough; `None` if the present one is.
fn smallest(limit: &Limit, most: u32, is_enough: impl Fn(Bucket) -> bool) -> Option<(u32, Bucket)> {
    if limit.bucket().is_none_or(&is_enough) {
        return None;
    }
    let (mut too_few, mut enough) = (limit.count, most.max(limit.count.saturating_add(1)));
    while enough - too_few > 1 {
        let middle = too_few + (enough - too_few) / 2;
        if raised(limit, middle).is_some_and(&is_enough) {
            enough = middle;
        } else {
            too_few = middle;
        }
    }
    Some((enough, raised(limit, enough)?))
}
