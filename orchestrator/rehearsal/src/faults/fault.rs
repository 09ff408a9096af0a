//! One fault: what it does, and which requests it strikes.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::effect::Effect;
use crate::endpoint::Endpoint;

/// All conditions must hold. A fault of nothing but an effect strikes every request that it can strike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Empty: wherever the effect makes sense.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<Endpoint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Strikes only what one address asks above this rate, by the CA's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above_per_second: Option<NonZeroU32>,
    /// The share of the requests so far that it strikes, from 0 to 1, drawn from the CA's seed.
    #[serde(default = "Fault::always", skip_serializing_if = "Fault::is_always")]
    pub share: f64,
    /// Lets so many of the requests so far go by first.
    #[serde(default, skip_serializing_if = "Fault::is_none_skipped")]
    pub skip: u64,
    /// Strikes so often at the most; absent, without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    pub effect: Effect,
}

/// From when until when a fault strikes, by the CA's clock since the plan was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    #[serde(default)]
    pub from_ms: u64,
    pub until_ms: u64,
}

impl Window {
    pub(crate) fn holds(self, since_set: Duration) -> bool {
        let since_set = u64::try_from(since_set.as_millis()).unwrap_or(u64::MAX);
        (self.from_ms..self.until_ms).contains(&since_set)
    }
}

impl Fault {
    /// Every request that it can strike.
    pub fn new(effect: Effect) -> Self {
        Self {
            endpoints: Vec::new(),
            window: None,
            above_per_second: None,
            share: Self::always(),
            skip: 0,
            times: None,
            effect,
        }
    }

    /// At this endpoint only, or at that one too.
    #[must_use]
    pub fn at(mut self, endpoint: Endpoint) -> Self {
        self.endpoints.push(endpoint);
        self
    }

    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self { times: Some(times), ..self }
    }

    #[must_use]
    pub fn share(self, share: f64) -> Self {
        Self { share, ..self }
    }

    #[must_use]
    pub fn after(self, skip: u64) -> Self {
        Self { skip, ..self }
    }

    fn always() -> f64 {
        1.0
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it by reference")]
    fn is_always(share: &f64) -> bool {
        *share >= 1.0
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it by reference")]
    fn is_none_skipped(skip: &u64) -> bool {
        *skip == 0
    }
}
