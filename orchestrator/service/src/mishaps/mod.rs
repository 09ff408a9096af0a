//! Mishaps: what may befall this process between two lines of it, so that a test can have it happen there.
//!
//! Everything here exists with the feature `fault-injection` only; without it a named point is nothing at all. A
//! point says where a thread of work has got to ([`Point`]); whoever has set a [`Fate`] for the thread it runs on
//! decides what happens there. A process of its own takes its fate from `LOCKKEEPER_FAULT` ([`environment`]).

#[cfg(feature = "fault-injection")]
pub mod environment;
#[cfg(feature = "fault-injection")]
mod fate;
#[cfg(feature = "fault-injection")]
mod point;
#[cfg(feature = "fault-injection")]
mod protection;

#[cfg(feature = "fault-injection")]
pub use self::fate::{Fate, Meeting, Outcome, is_without, meet, set_for_this_thread};
#[cfg(feature = "fault-injection")]
pub use self::point::{Act, Moment, Point, Write};
#[cfg(feature = "fault-injection")]
pub use self::protection::Protection;

/// `reach!(Before, Request, "new_order")`: here the work has come so far.
#[cfg(feature = "fault-injection")]
macro_rules! reach {
    ($moment:ident, $act:ident, $what:expr) => {{
        let (moment, act) = ($crate::mishaps::Moment::$moment, $crate::mishaps::Act::$act);
        let _ = $crate::mishaps::meet($crate::mishaps::Point { moment, act, what: $what }).await;
    }};
}

#[cfg(not(feature = "fault-injection"))]
macro_rules! reach {
    ($moment:ident, $act:ident, $what:expr) => {};
}

/// `reach_write!(After, "admission", "admissions.commit")`: the same around what is written to the database, whose
/// connection may break here: the function then returns as it would have if the server's answer had been lost.
#[cfg(feature = "fault-injection")]
macro_rules! reach_write {
    ($moment:ident, $what:expr, $name:literal) => {{
        let (moment, act) = ($crate::mishaps::Moment::$moment, $crate::mishaps::Act::Commit);
        let point = $crate::mishaps::Point { moment, act, what: $what };
        if $crate::mishaps::meet(point).await == $crate::mishaps::Outcome::Severed {
            return Err(StoreError::severed($name));
        }
    }};
}

#[cfg(not(feature = "fault-injection"))]
macro_rules! reach_write {
    ($moment:ident, $what:expr, $name:literal) => {};
}

/// `lacks!(RecoveryReserve)`: whether a test has taken this protection away.
#[cfg(feature = "fault-injection")]
macro_rules! lacks {
    ($protection:ident) => {
        $crate::mishaps::is_without($crate::mishaps::Protection::$protection)
    };
}

#[cfg(not(feature = "fault-injection"))]
macro_rules! lacks {
    ($protection:ident) => {
        false
    };
}

pub(crate) use {lacks, reach, reach_write};
