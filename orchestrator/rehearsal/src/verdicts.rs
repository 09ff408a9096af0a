//! Verdicts that the CA has come to, or will, and not entered yet.

use std::collections::BTreeMap;

use issuance::time::Timestamp;

use crate::problem::Problem;
use crate::validation::Attempt;

/// What one attempt came to.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) attempt: Attempt,
    pub(crate) outcome: Result<(), Problem>,
}

/// By the instant at which they are entered, and among those of one instant in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    waiting: BTreeMap<(Timestamp, u64), Verdict>,
    next: u64,
}

impl Verdicts {
    pub(crate) fn keep_back(&mut self, verdict: Verdict, until: Timestamp) {
        self.waiting.insert((until, self.next), verdict);
        self.next += 1;
    }

    pub(crate) fn take_due(&mut self, now: Timestamp) -> Option<(Timestamp, Verdict)> {
        let first = self.waiting.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((due_at, _), verdict) = first.remove_entry();
        Some((due_at, verdict))
    }
}
