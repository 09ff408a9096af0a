//! What is to be told of an open authorization: why it is open, what happens next and when, what settling it
//! costs, and whether the operator may have it settled now.
//!
//! Told from the row alone. What will be decided depends on what is found when it is: whether the response is
//! served is seen then.

use serde::{Deserialize, Serialize};

use crate::profile::CaProfile;
use crate::time::Timestamp;

/// Why an authorization is neither submitted nor final.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum WhyOpen {
    /// Its order has just been placed, or the CA cannot be asked at the moment.
    BeingRead,
    /// Its response is provisioned and about to be looked for.
    BeingChecked,
    /// Its response was not seen where the CA would look; the order is kept for another try.
    AwaitsResponse,
    /// Its challenge may have been posted, and the CA has not said so yet.
    BeingSubmitted,
    /// What becomes of it is about to be decided: its order has ended, or the operator asks for it.
    BeingDecided,
    /// Its order has ended; deactivating it now would spend a failure token of the hostname that may be wanted.
    AwaitsFailureBudget,
    /// Its deactivation may have been posted, and the CA has not confirmed it yet.
    BeingDeactivated,
}

impl WhyOpen {
    pub const ALL: [Self; 7] = [
        Self::BeingRead,
        Self::BeingChecked,
        Self::AwaitsResponse,
        Self::BeingSubmitted,
        Self::BeingDecided,
        Self::AwaitsFailureBudget,
        Self::BeingDeactivated,
    ];

    /// The spelling in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BeingRead => "being_read",
            Self::BeingChecked => "being_checked",
            Self::AwaitsResponse => "awaits_response",
            Self::BeingSubmitted => "being_submitted",
            Self::BeingDecided => "being_decided",
            Self::AwaitsFailureBudget => "awaits_failure_budget",
            Self::BeingDeactivated => "being_deactivated",
        }
    }

    /// In plain words.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::BeingRead => "it is being read at the CA",
            Self::BeingChecked => "its response is about to be looked for",
            Self::AwaitsResponse => "its response is not served yet; the order is kept for another try",
            Self::BeingSubmitted => "its challenge is being posted",
            Self::BeingDecided => "it is about to be settled",
            Self::AwaitsFailureBudget => {
                "its order has ended; it waits until deactivating it takes nothing that is wanted"
            }
            Self::BeingDeactivated => "it is being deactivated",
        }
    }
}

/// What is done about it next. Before a deactivation the response is looked for once more: one that is served
/// is submitted instead.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum NextAct {
    Read,
    /// Try the same order at the CA again.
    Resume,
    Submit,
    Deactivate,
}

impl NextAct {
    /// The spelling in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Resume => "resume",
            Self::Submit => "submit",
            Self::Deactivate => "deactivate",
        }
    }
}

/// What it takes to deactivate it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Cost {
    Nothing,
    /// One of the failed validations that the CA allows the hostname.
    FailureToken,
}

impl Cost {
    /// The spelling in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::FailureToken => "failure_token",
        }
    }

    /// In plain words.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Nothing => "settling it costs nothing",
            Self::FailureToken => {
                "if its response is not served, it is deactivated, which the CA counts as a failed validation of the name"
            }
        }
    }
}

/// What the row of an open authorization and that of its order say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFacts {
    /// Where the order stands.
    pub stage: OpenStage,
    /// Tries since the order came to its stage.
    pub looks: u32,
    /// When the order is due.
    pub due_at: Option<Timestamp>,
    /// A worker has the order in its hands.
    pub in_hand: bool,
    /// Its identifier is known.
    pub read: bool,
    pub submit_intended: bool,
    pub deactivate_intended: bool,
    pub requested: bool,
    pub settle_at: Option<Timestamp>,
}

/// The order's stage, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenStage {
    Presented,
    Ended,
    /// Any other: it goes on by itself.
    OnItsWay,
}

impl OpenStage {
    /// From the spelling of [`crate::order::Stage::as_str`].
    pub fn of(stage: &str) -> Self {
        match stage {
            "presented" => Self::Presented,
            "issued" | "failed" | "cancelled" => Self::Ended,
            _ => Self::OnItsWay,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Outlook {
    pub why: WhyOpen,
    pub next: NextAct,
    /// `None`: nobody knows, since the order is due for nothing.
    pub next_at: Option<Timestamp>,
    pub cost: Cost,
}

/// Why an authorization is not settled at the operator's wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SettleRefusal {
    #[error("a worker has its order in its hands: ask again in a few seconds")]
    InHand,
    #[error(
        "its order is on its way at the CA and settles it by itself: ask again if it still is open when the \
         order has ended, or waits for its response to be served"
    )]
    OnItsWay,
}

impl OpenFacts {
    pub fn outlook(&self, profile: &CaProfile) -> Outlook {
        let waits = profile.charges_deactivation && !self.requested && self.settle_at >= self.due_at;
        let (why, next, next_at) = match self.stage {
            _ if self.deactivate_intended => (WhyOpen::BeingDeactivated, NextAct::Deactivate, self.due_at),
            _ if self.submit_intended => (WhyOpen::BeingSubmitted, NextAct::Submit, self.due_at),
            _ if !self.read => (WhyOpen::BeingRead, NextAct::Read, self.due_at),
            OpenStage::Presented if self.requested => {
                (WhyOpen::BeingDecided, NextAct::Deactivate, self.due_at)
            }
            OpenStage::Presented if self.looks > 0 => (WhyOpen::AwaitsResponse, NextAct::Resume, self.due_at),
            OpenStage::Presented => (WhyOpen::BeingChecked, NextAct::Submit, self.due_at),
            OpenStage::Ended if waits => (WhyOpen::AwaitsFailureBudget, NextAct::Deactivate, self.settle_at),
            OpenStage::Ended => (WhyOpen::BeingDecided, NextAct::Deactivate, self.due_at),
            OpenStage::OnItsWay => (WhyOpen::BeingRead, NextAct::Read, self.due_at),
        };
        let free = !profile.charges_deactivation || why == WhyOpen::BeingSubmitted;
        Outlook { why, next, next_at, cost: if free { Cost::Nothing } else { Cost::FailureToken } }
    }

    /// Whether the operator may have it settled now. An order that goes on by itself is not disturbed: what it
    /// is about to submit would be deactivated under its hands.
    ///
    /// # Errors
    /// Why not now.
    pub fn may_settle(&self) -> Result<(), SettleRefusal> {
        match self.stage {
            OpenStage::OnItsWay => Err(SettleRefusal::OnItsWay),
            OpenStage::Presented if self.looks == 0 => Err(SettleRefusal::OnItsWay),
            _ if self.in_hand => Err(SettleRefusal::InHand),
            OpenStage::Presented | OpenStage::Ended => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::Stage;

    #[test]
    fn every_stage_is_one_of_the_three() {
        let of = |wanted| {
            let of_kind = |stage: &&str| OpenStage::of(stage) == wanted;
            Stage::NAMES.into_iter().filter(of_kind).collect::<Vec<_>>()
        };
        assert_eq!(of(OpenStage::Presented), ["presented"]);
        assert_eq!(of(OpenStage::Ended), ["issued", "failed", "cancelled"]);
    }

    /// An ended order's, of a CA that charges: read, undecided, and due for something else than its own wait.
    const FACTS: OpenFacts = OpenFacts {
        stage: OpenStage::Ended,
        looks: 0,
        due_at: Some(Timestamp::from_unix_seconds(60)),
        in_hand: false,
        read: true,
        submit_intended: false,
        deactivate_intended: false,
        requested: false,
        settle_at: Some(Timestamp::from_unix_seconds(30)),
    };

    #[test]
    fn every_reason_with_what_comes_next() {
        let waiting = OpenFacts { settle_at: Some(Timestamp::from_unix_seconds(3_600)), ..FACTS };
        let presented = OpenFacts { stage: OpenStage::Presented, ..waiting };
        let cases = [
            (OpenFacts { read: false, ..waiting }, WhyOpen::BeingRead, NextAct::Read, 60, false),
            (
                OpenFacts { stage: OpenStage::OnItsWay, ..waiting },
                WhyOpen::BeingRead,
                NextAct::Read,
                60,
                false,
            ),
            (presented, WhyOpen::BeingChecked, NextAct::Submit, 60, false),
            (OpenFacts { looks: 1, ..presented }, WhyOpen::AwaitsResponse, NextAct::Resume, 60, false),
            (
                OpenFacts { looks: 1, requested: true, ..presented },
                WhyOpen::BeingDecided,
                NextAct::Deactivate,
                60,
                false,
            ),
            (
                OpenFacts { submit_intended: true, ..presented },
                WhyOpen::BeingSubmitted,
                NextAct::Submit,
                60,
                true,
            ),
            (FACTS, WhyOpen::BeingDecided, NextAct::Deactivate, 60, false),
            (OpenFacts { requested: true, ..waiting }, WhyOpen::BeingDecided, NextAct::Deactivate, 60, false),
            (waiting, WhyOpen::AwaitsFailureBudget, NextAct::Deactivate, 3_600, false),
            (
                OpenFacts { deactivate_intended: true, ..waiting },
                WhyOpen::BeingDeactivated,
                NextAct::Deactivate,
                60,
                false,
            ),
        ];
        let charging = CaProfile { charges_deactivation: true, ..profile() };
        for (facts, why, next, at, free) in cases {
            let next_at = Some(Timestamp::from_unix_seconds(at));
            let cost = if free { Cost::Nothing } else { Cost::FailureToken };
            assert_eq!(facts.outlook(&charging), Outlook { why, next, next_at, cost }, "{facts:?}");
            let elsewhere = facts.outlook(&profile());
            assert_eq!(elsewhere.cost, Cost::Nothing);
            assert_ne!(elsewhere.why, WhyOpen::AwaitsFailureBudget, "nobody waits where it is free");
        }
    }

    #[test]
    fn an_order_on_its_way_is_not_disturbed() {
        let presented = OpenFacts { stage: OpenStage::Presented, ..FACTS };
        let waiting = OpenFacts { looks: 1, ..presented };
        assert_eq!((FACTS.may_settle(), waiting.may_settle()), (Ok(()), Ok(())));
        for facts in [presented, OpenFacts { stage: OpenStage::OnItsWay, in_hand: true, ..FACTS }] {
            assert_eq!(facts.may_settle(), Err(SettleRefusal::OnItsWay));
        }
        for facts in [FACTS, waiting] {
            let in_hand = OpenFacts { in_hand: true, ..facts };
            assert_eq!(in_hand.may_settle(), Err(SettleRefusal::InHand));
        }
    }

    /// A CA that charges nothing.
    fn profile() -> CaProfile {
        let rates = r#"{"new_nonce":0,"new_account":0,"new_order":0,"revoke_cert":0,"renewal_info":0,"directory":0,"other":0}"#;
        let text = format!(
            r#"{{"name":"plain","pending_authorizations_max":10,"recovery_reserve":2,"charges_deactivation":false,
                "reuses_pending_order":false,"lists_orders":false,"pending_authorization_seconds":3600,
                "order_seconds":3600,"quiet_seconds":6,"resubmit_seconds":4,"asks_max":3,"names_max":100,
                "poll_first_ms":25,"poll_max_ms":2000,"requests_per_second":{rates}}}"#
        );
        serde_json::from_str(&text).expect("a profile")
    }

    #[test]
    fn the_api_spells_what_the_code_says() {
        for why in WhyOpen::ALL {
            assert_eq!(serde_json::to_value(why).expect("a word"), why.as_str());
        }
        for act in [NextAct::Read, NextAct::Resume, NextAct::Submit, NextAct::Deactivate] {
            assert_eq!(serde_json::to_value(act).expect("a word"), act.as_str());
        }
        for cost in [Cost::Nothing, Cost::FailureToken] {
            assert_eq!(serde_json::to_value(cost).expect("a word"), cost.as_str());
        }
    }
}
