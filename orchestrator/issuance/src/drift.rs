//! Where the ledger and the CA disagree, and what the ledger must say instead.
//!
//! The ledger follows the CA, not the other way round: what the CA calls ended has ended, and what it still
//! holds as pending is open, whatever we believed.

use crate::answer::{Context, Trouble};
use crate::authorization::{Authorization, AuthorizationSeen, AuthorizationStatus};

/// One disagreement about one authorization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drift {
    /// Ended at the CA, and pending in the ledger.
    Ended(AuthorizationStatus),
    /// No longer at the CA, and pending in the ledger.
    Gone,
    /// Pending at the CA, and ended in the ledger. `submitted`: its validation is under way.
    Pending { submitted: bool },
    /// Ended here and there, in different ways.
    Differs(AuthorizationStatus),
}

impl Drift {
    pub const NAMES: [&str; 4] = ["ended", "gone", "pending", "differs"];

    /// The spelling in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ended(_) => "ended",
            Self::Gone => "gone",
            Self::Pending { .. } => "pending",
            Self::Differs(_) => "differs",
        }
    }

    /// Compares a row of the ledger with a reading of the CA.
    pub fn between(
        ledger: &Authorization,
        read: &Result<AuthorizationSeen, Trouble>,
        context: &Context<'_>,
    ) -> Option<Self> {
        let is_final = ledger.final_at.is_some();
        match read {
            Ok(seen) if seen.status == AuthorizationStatus::Pending => {
                is_final.then_some(Self::Pending { submitted: seen.challenge_taken })
            }
            Ok(seen) if !is_final => Some(Self::Ended(seen.status)),
            // Some CAs answer a deactivation of what had failed with `deactivated`, and go on calling it invalid.
            Ok(seen) => (seen.status != ledger.status).then_some(Self::Differs(seen.status)),
            Err(trouble) => (!is_final && ledger.is_lost(trouble, context)).then_some(Self::Gone),
        }
    }
}

impl Authorization {
    /// As the CA says it is. A validation that nobody is making was not submitted, whatever we believed: it is open,
    /// and settled anew.
    #[must_use]
    pub fn corrected(mut self, drift: Drift, context: &Context<'_>) -> Self {
        match drift {
            Drift::Ended(status) => self.end(status, context.now),
            Drift::Gone => self.end(AuthorizationStatus::Expired, context.now),
            Drift::Differs(status) => self.status = status,
            Drift::Pending { submitted } => {
                self.status = AuthorizationStatus::Pending;
                self.final_at = None;
                self.deactivate_intended_at = None;
                if submitted {
                    self.submit_intended_at.get_or_insert(context.now);
                    self.submitted_at.get_or_insert(context.now);
                } else {
                    self.submit_intended_at = None;
                    self.submitted_at = None;
                }
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::identifier::Hostname;
    use crate::problem::{Problem, ProblemKind};
    use crate::profile::CaProfile;
    use crate::time::{Fraction, Timestamp};

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);

    fn profile() -> CaProfile {
        CaProfile { charges_deactivation: true, reuses_pending_order: true, asks_max: 3, ..CaProfile::bare() }
    }

    #[expect(clippy::unnecessary_wraps, reason = "a reading may also bring trouble")]
    fn seen(status: AuthorizationStatus, challenge_taken: bool) -> Result<AuthorizationSeen, Trouble> {
        Ok(AuthorizationSeen {
            status,
            identifier: Hostname::parse("a.example.com").unwrap(),
            wildcard: false,
            expires_at: None,
            challenge: None,
            challenge_taken,
            fault: None,
            problem: None,
        })
    }

    fn ledger(status: AuthorizationStatus) -> Authorization {
        let mut one = Authorization::opened(
            "https://ca.test/z/1".into(),
            NOW,
            NOW.after(Duration::from_hours(1)),
            NOW.after(Duration::from_mins(15)),
        );
        one.end(status, NOW);
        one
    }

    #[test]
    fn the_ledger_follows_the_ca_and_agreement_is_no_drift() {
        use AuthorizationStatus::{Deactivated, Expired, Invalid, Pending, Valid};
        let profile = profile();
        let context = Context { now: NOW, jitter: Fraction::ZERO, profile: &profile };
        let gone =
            || Err(Trouble::Refused(Problem::new(ProblemKind::Malformed, 404, "No such authorization")));
        let lost = || Err(Trouble::Lost { detail: "reset".into() });
        for (ours, theirs, wanted) in [
            (Pending, seen(Pending, false), None),
            (Pending, seen(Valid, true), Some(Drift::Ended(Valid))),
            (Pending, seen(Invalid, true), Some(Drift::Ended(Invalid))),
            (Deactivated, seen(Pending, false), Some(Drift::Pending { submitted: false })),
            (Valid, seen(Pending, true), Some(Drift::Pending { submitted: true })),
            (Valid, seen(Valid, true), None),
            (Valid, seen(Deactivated, true), Some(Drift::Differs(Deactivated))),
            // Opened this instant: a replica of the CA may not have heard of it.
            (Pending, gone(), None),
            (Expired, gone(), None),
            (Pending, lost(), None),
        ] {
            let row = ledger(ours);
            let drift = Drift::between(&row, &theirs, &context);
            assert_eq!(drift, wanted, "{ours:?} {theirs:?}");
            if let Some(drift) = drift {
                let row = row.corrected(drift, &context);
                assert_eq!(Drift::between(&row, &theirs, &context), None, "{ours:?} {theirs:?}");
            }
        }
    }

    #[test]
    fn what_nobody_validates_is_open_again_and_what_the_ca_has_forgotten_is_over() {
        let profile = profile();
        let mut context = Context { now: NOW, jitter: Fraction::ZERO, profile: &profile };
        let mut row = ledger(AuthorizationStatus::Valid);
        (row.submit_intended_at, row.submitted_at) = (Some(NOW), Some(NOW));
        let open = row.clone().corrected(Drift::Pending { submitted: false }, &context);
        assert!(open.is_open() && open.is_undecided());
        let validating = row.corrected(Drift::Pending { submitted: true }, &context);
        assert!(!validating.is_open() && validating.holds_budget());

        let row = ledger(AuthorizationStatus::Pending);
        context.now = NOW.after(Duration::from_mins(3));
        let gone = Err(Trouble::Refused(Problem::new(ProblemKind::Malformed, 404, "No such authorization")));
        assert_eq!(Drift::between(&row, &gone, &context), Some(Drift::Gone));
        assert_eq!(row.corrected(Drift::Gone, &context).status, AuthorizationStatus::Expired);
    }
}
