//! A stored fault, with what follows from its class.

use issuance::fault::{Actor, FailureClass};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why something does not go on, as a person reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FaultView {
    pub class: FailureClass,
    pub detail: String,
    /// `None` where the order as a whole is at fault.
    pub hostname: Option<String>,
    /// What to do about it, for `actor`.
    pub advice: String,
    pub actor: Actor,
}

impl FaultView {
    /// `None` where no fault is stored. A class that another release wrote reads as an internal one.
    pub(super) fn of(class: Option<&str>, detail: Option<String>, hostname: Option<String>) -> Option<Self> {
        let class = FailureClass::parse(class?).unwrap_or(FailureClass::Internal);
        Some(Self {
            class,
            detail: detail.unwrap_or_default(),
            hostname,
            advice: class.advice().to_owned(),
            actor: class.actor(),
        })
    }
}
