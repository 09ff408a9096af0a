//! The names of points.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Moment {
    Before,
    After,
}

impl Moment {
    pub const ALL: [Self; 2] = [Self::Before, Self::After];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// What the moment is before or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// One request to the CA; `what` is an [`Endpoint`](crate::acme::Endpoint)'s word.
    Request,
    /// One step of an order; `what` is its word in metrics.
    Step,
    /// One commit; `what` is the stage an order is written in, or a [`Write`]'s word.
    Commit,
}

impl Act {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Step => "step",
            Self::Commit => "commit",
        }
    }
}

/// Where a piece of work has got to; written as `after_commit.placed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Point {
    pub moment: Moment,
    pub act: Act,
    pub what: &'static str,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}.{}", self.moment.as_str(), self.act.as_str(), self.what)
    }
}

/// What an engine writes besides the ends of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Write {
    /// The gate's transaction.
    Admission,
    /// A step's end with its consequences: several statements in one transaction.
    Aftermath,
    ClaimInFlight,
    ClaimProven,
    ClaimUnproven,
    /// The account's URL.
    Registration,
}

impl Write {
    pub const ALL: [Self; 6] = [
        Self::Admission,
        Self::Aftermath,
        Self::ClaimInFlight,
        Self::ClaimProven,
        Self::ClaimUnproven,
        Self::Registration,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admission => "admission",
            Self::Aftermath => "aftermath",
            Self::ClaimInFlight => "claim_in_flight",
            Self::ClaimProven => "claim_proven",
            Self::ClaimUnproven => "claim_unproven",
            Self::Registration => "registration",
        }
    }
}
