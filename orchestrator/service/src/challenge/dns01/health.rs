//! How a provider fares: after some failures in a row it is left alone for a while, and names that need it wait at home.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use issuance::time::Timestamp;

/// Failures in a row after which it ails.
const FAILURES_MAX: u32 = 5;
/// How long it is left alone then; doubled with each failure after that.
const REST_FIRST: Duration = Duration::from_mins(1);
const REST_MAX: Duration = Duration::from_mins(10);

/// Whether a provider may be counted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Well,
    /// It has rested: it is to be tried with something that matters to nobody.
    Trial,
    Ails {
        until: Timestamp,
    },
}

/// Known to this process only: another one learns it by itself, within as many writes.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    rests_until: Option<Timestamp>,
}

impl Health {
    /// Takes note of a write. Returns until when the provider is left alone now.
    pub(super) fn note(&self, succeeded: bool, now: Timestamp) -> Option<Timestamp> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if succeeded {
            *state = State::default();
            return None;
        }
        state.failures = state.failures.saturating_add(1);
        let beyond = state.failures.checked_sub(FAILURES_MAX)?;
        let rest = REST_FIRST.saturating_mul(1 << beyond.min(8)).min(REST_MAX);
        state.rests_until = Some(now.after(rest));
        state.rests_until
    }

    /// What whoever would use it next may do. One at a time tries a provider that has rested: meanwhile the others wait.
    pub(super) fn turn(&self, now: Timestamp) -> Turn {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.rests_until {
            None => Turn::Well,
            Some(until) if now < until => Turn::Ails { until },
            Some(_) => {
                state.rests_until = Some(now.after(REST_FIRST));
                Turn::Trial
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_in_a_row_make_it_ail_and_one_success_heals_it() {
        let health = Health::default();
        let at = Timestamp::from_unix_seconds;
        for second in 0..4 {
            assert_eq!(health.note(false, at(second)), None);
        }
        assert_eq!(health.note(false, at(10)), Some(at(70)));
        assert_eq!(health.turn(at(69)), Turn::Ails { until: at(70) });
        assert_eq!(health.turn(at(70)), Turn::Trial);
        assert_eq!(health.turn(at(70)), Turn::Ails { until: at(130) });
        assert_eq!(health.note(false, at(70)), Some(at(190)));
        for _ in 0..100 {
            assert!(health.note(false, at(200)) <= Some(at(800)));
        }
        assert_eq!(health.note(true, at(300)), None);
        assert_eq!(health.turn(at(300)), Turn::Well);
        assert_eq!(health.note(false, at(301)), None);
    }
}
