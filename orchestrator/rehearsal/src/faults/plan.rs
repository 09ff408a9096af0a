//! All faults of one CA.

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use crate::endpoint::Endpoint;

/// The default is a CA without faults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// How far the CA's clock is ahead of the true one; behind it, if negative. Its `Date` headers say so.
    #[serde(default, skip_serializing_if = "Plan::is_on_time")]
    pub clock_skew_ms: i64,
    /// What is held when this plan is set is lost with its connection, requests not executed and answers not sent; it
    /// goes on otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drop_held: bool,
    /// The first that applies strikes.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

/// A plan that makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanError {
    #[error("{kind}: the share is {share}, and not from 0 to 1")]
    Share { kind: &'static str, share: f64 },
    #[error("{kind} cannot strike at {}", endpoint.as_str())]
    Place { kind: &'static str, endpoint: Endpoint },
    #[error("{kind}: the window is empty")]
    EmptyWindow { kind: &'static str },
}

impl Plan {
    /// One fault, and a clock that is right.
    pub fn of(fault: Fault) -> Self {
        Self { faults: vec![fault], ..Self::default() }
    }

    pub(crate) fn check(&self) -> Result<(), PlanError> {
        for Fault { endpoints, window, share, effect, .. } in &self.faults {
            let kind = effect.kind();
            if !(0.0..=1.0).contains(share) {
                return Err(PlanError::Share { kind, share: *share });
            }
            if window.is_some_and(|window| window.from_ms >= window.until_ms) {
                return Err(PlanError::EmptyWindow { kind });
            }
            let places = effect.places();
            let misplaced = endpoints.iter().find(|place| !places.is_empty() && !places.contains(place));
            if let Some(endpoint) = misplaced {
                return Err(PlanError::Place { kind, endpoint: *endpoint });
            }
        }
        Ok(())
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it by reference")]
    fn is_on_time(clock_skew_ms: &i64) -> bool {
        *clock_skew_ms == 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::Effect;
    use super::*;

    #[test]
    fn a_plan_is_read_as_it_is_written() {
        let text = r#"{"clock_skew_ms":-5,"faults":[
            {"endpoints":["new_order","finalize"],"skip":1,"times":3,"effect":"drop_response"},
            {"window":{"until_ms":9},"share":0.5,"effect":{"signing_outage":{}}},
            {"above_per_second":20,"effect":{"unavailable":{"retry_after_seconds":5}}}]}"#;
        let plan: Plan = serde_json::from_str(text).expect("a plan");
        assert_eq!(plan.check(), Ok(()));
        assert_eq!(plan.faults[1].effect, Effect::SigningOutage { after_ms: 15_000 });
        let again = serde_json::to_string(&plan).expect("JSON");
        assert_eq!(serde_json::from_str::<Plan>(&again).expect("a plan"), plan);
        assert_eq!(serde_json::to_string(&Plan::default()).expect("JSON"), r#"{"faults":[]}"#);
    }

    #[test]
    fn what_is_misspelt_or_makes_no_sense_is_refused() {
        for text in [
            r#"{"fault":[]}"#,
            r#"{"faults":[{"effect":"drop_everything"}]}"#,
            r#"{"faults":[{"time":1,"effect":"drop_request"}]}"#,
            r#"{"faults":[{"effect":{"delay_request":{"ms":1,"seconds":1}}}]}"#,
            r#"{"faults":[{"endpoints":["neworder"],"effect":"drop_request"}]}"#,
        ] {
            assert!(serde_json::from_str::<Plan>(text).is_err(), "{text}");
        }
        let hold = Fault::new(Effect::HoldRequest);
        assert!(Plan::of(hold.clone().share(1.5)).check().is_err());
        assert!(Plan::of(hold.clone().share(f64::NAN)).check().is_err());
        let window = Some(super::super::Window { from_ms: 2, until_ms: 2 });
        assert!(Plan::of(Fault { window, ..hold }).check().is_err());
        let stale = Fault::new(Effect::StaleOrder).at(Endpoint::NewOrder);
        assert_eq!(
            Plan::of(stale).check().map_err(|error| error.to_string()),
            Err("stale_order cannot strike at new_order".to_owned())
        );
    }
}
