//! What a step brought back, and what follows from it.

use std::time::Duration;

use crate::authorization::{AuthorizationSeen, AuthorizationStatus};
use crate::fault::Fault;
use crate::identifier::{Hostname, Identifiers};
use crate::lesson::Lesson;
use crate::order::{CertificateRequest, Order, Reservation};
use crate::problem::Problem;
use crate::profile::CaProfile;
use crate::settle::Circumstances;
use crate::step::Knowledge;
use crate::time::{Fraction, Timestamp};

/// Why a request brought no answer of use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing left the machine: the CA did nothing.
    NotSent { detail: Box<str> },
    /// It may have been executed.
    Lost { detail: Box<str> },
    /// The CA said no.
    Refused(Problem),
}

/// What preflight says of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    Ready,
    NotReady(Fault),
    /// The check itself could not be made; nobody's fault.
    Unknown,
}

/// RFC 8555 §7.1.6, and whatever else a CA may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaOrderStatus {
    Pending,
    Ready,
    Processing,
    Valid,
    /// `invalid`, and what means the same at some CAs (`deactivated`, `expired`).
    Invalid,
}

/// What one reading of the CA's order says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderSeen {
    pub url: Box<str>,
    pub finalize_url: Box<str>,
    pub status: CaOrderStatus,
    pub expires_at: Option<Timestamp>,
    pub authorizations: Vec<Box<str>>,
    pub certificate_url: Option<Box<str>>,
    pub problem: Option<Problem>,
    pub retry_after: Option<Duration>,
}

/// The gate's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Reserved and committed: the request may leave.
    Granted(Reservation),
    /// Ask again at this instant.
    Denied { until: Timestamp },
}

/// The answer to a step. Indexes are the step's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Proofs(Vec<(Hostname, Proof)>),
    Admission(Admission),
    /// new-order, asked once or again, or found in the account's list.
    Placed(OrderSeen),
    /// new-order's answer, heard by whoever listened on after its sender had given up.
    PlacedLate(OrderSeen),
    /// The account's list is complete and does not hold it.
    NotFound,
    Authorizations(Vec<(usize, Result<AuthorizationSeen, Trouble>)>),
    Served(Vec<(usize, Circumstances)>),
    /// Not all responses are served, and what is in the way.
    Unserved {
        seen: Vec<(usize, Circumstances)>,
        fault: Fault,
    },
    /// The responses are on their way to where the CA would look, and nothing is wrong: look again then.
    Awaited {
        until: Timestamp,
    },
    Submitted(Vec<(usize, Result<(), Trouble>)>),
    Order(OrderSeen),
    Request(CertificateRequest),
    /// There is no request that this order may be finalized with, and there will be none by waiting.
    NoRequest(Fault),
    /// The chain fits key and names, and is stored with this commit.
    Chain,
    /// The chain does not fit.
    BadChain(Fault),
    Deactivated(Vec<(usize, Result<AuthorizationStatus, Trouble>)>),
    /// [`crate::step::Step::GiveUp`] needs nobody to answer.
    GivenUp,
    Trouble(Trouble),
}

/// What the decision may depend on besides the order and the answer.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    pub now: Timestamp,
    pub jitter: Fraction,
    pub profile: &'a CaProfile,
}

/// When the order is due again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Go on under the same lease.
    Now,
    At(Timestamp),
    /// At rest.
    Never,
}

/// What changes besides the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consequence {
    /// Counted against the hostname: it rests.
    NameFailed { hostname: Hostname, fault: Fault, at_ca: bool },
    /// These names are ready and the others are not: an order for them alone.
    Split { names: Identifiers },
    /// This attempt is over; another one starts when its names have rested.
    Retry { fault: Fault },
    /// A limit of the CA, as it says: those in its scope wait, and nobody else.
    Limited { lesson: Lesson },
    /// The CA lets nobody order these names before a person has opened the link.
    Paused { hostnames: Vec<Hostname>, link: Option<Box<str>> },
    /// The CA has counted a failure of the name: a validation, or a deactivation that it charges. The authorization's
    /// URL tells one from another.
    Charged { hostname: Hostname, authorization: Box<str> },
    /// The CA wants no request before.
    Busy { until: Timestamp },
    /// The CA has answered the latest new-order with an error, or never got it: it has taken no token.
    Unspent,
    /// The CA refuses the account.
    AccountStopped { reason: Box<str> },
}

/// The order after an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub order: Order,
    pub wake: Wake,
    /// What the next step may take for granted, under the same lease.
    pub knowledge: Knowledge,
    /// The change must be durable before the next step. Where it need not be, a crash repeats the step.
    pub must_commit: bool,
    pub consequences: Vec<Consequence>,
}
