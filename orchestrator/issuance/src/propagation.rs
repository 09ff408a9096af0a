//! Whether a TXT record is where a CA will look: from what each authoritative server shows, to when to look again.
//!
//! ```text
//! look ──▶ Sighting of every address ──▶ Round ──▶ Watch::after ──▶ Next::{Submit, LookAgain, GiveUp}
//! ```
//!
//! One address that answers for the zone and does not show the value outweighs all that do: a CA that asks from
//! several places meets it. One that says nothing is no evidence either way, as long as enough others speak.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::FailureClass;
use crate::time::Timestamp;

/// What one address of an authoritative server said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sighting {
    /// An authoritative answer with every value that is expected.
    Shows,
    /// An authoritative answer without one of them: none at all, NXDOMAIN, or other values only.
    Missing,
    /// An answer that speaks for nobody: an error, or without the AA bit (RFC 1035 §4.1.1).
    Lame,
    /// No answer in time.
    Silent,
    /// It may not be asked, or this machine has no way there.
    NotAsked,
}

/// How many of a zone's servers must show the value where the others cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quorum {
    /// Of the names in the zone's NS set, in percent; at least one name must show it whatever this says.
    pub names_percent: u8,
}

impl Default for Quorum {
    /// Half: a zone of two servers, one of which died long ago, still validates.
    fn default() -> Self {
        Self { names_percent: 50 }
    }
}

/// What one look at all servers of a zone amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Round {
    /// Every server that speaks for the zone shows the value. Not complete: some could not be asked.
    Green { complete: bool },
    /// A server that speaks for the zone does not show it yet.
    Missing,
    /// Too few servers could be asked to say anything.
    TooFew,
}

impl Round {
    /// `seen` is each address that was asked, under the name of its server; a server whose name has no address
    /// is there with [`Sighting::Silent`].
    pub fn of(seen: &[(&str, Sighting)], quorum: Quorum) -> Self {
        let mut shown_by_name: BTreeMap<&str, bool> = BTreeMap::new();
        let mut complete = true;
        for &(name, sighting) in seen {
            if sighting == Sighting::Missing {
                return Self::Missing;
            }
            complete &= sighting == Sighting::Shows;
            *shown_by_name.entry(name).or_default() |= sighting == Sighting::Shows;
        }
        let shown = shown_by_name.values().filter(|shown| **shown).count();
        let wanted = (shown_by_name.len() * usize::from(quorum.names_percent)).div_ceil(100).max(1);
        if shown >= wanted { Self::Green { complete } } else { Self::TooFew }
    }
}

/// What the DNS provider itself says of the change, where it says anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ProviderWord {
    /// It has no such notion.
    #[default]
    Silent,
    /// It has not told all of its servers yet (Route 53 `PENDING`): green servers are only the near ones.
    Pending,
    /// It has told all of its servers (Route 53 `INSYNC`).
    Done,
}

/// How a watch is paced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Until the second look.
    pub first_wait: Duration,
    /// Further waits are the time gone by so far over this, so that what is noticed late is late by a share.
    pub waits_per_elapsed: u32,
    pub wait_max: Duration,
    /// At least so long between the two green rounds.
    pub gap: Duration,
    /// The same where some servers could not be asked: they may be behind, and the CA may reach them.
    pub gap_incomplete: Duration,
    /// A watch that has seen nothing green for so long is given up.
    pub total: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first_wait: Duration::from_secs(2),
            waits_per_elapsed: 16,
            wait_max: Duration::from_mins(1),
            gap: Duration::from_secs(5),
            gap_incomplete: Duration::from_secs(15),
            total: Duration::from_mins(10),
        }
    }
}

impl Pace {
    fn wait(&self, elapsed: Duration) -> Duration {
        (elapsed / self.waits_per_elapsed.max(1)).clamp(self.first_wait, self.wait_max.max(self.first_wait))
    }
}

/// One record that is watched from its publication on. It is kept between the looks, with whatever waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// When the record was published.
    pub since: Timestamp,
    /// The first of the green rounds that none has interrupted.
    pub green_since: Option<Timestamp>,
}

/// What follows from a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The CA may be told. `green_for` is how long the record has been seen everywhere: what a failure at the
    /// CA teaches [`Settling`](crate::settling::Settling).
    Submit { green_for: Duration },
    /// Due again at this instant; nobody waits until then.
    LookAgain(Timestamp),
    /// It does not become visible in time. Nothing is submitted, and nothing is spent: try later.
    GiveUp,
}

impl Watch {
    pub fn begin(now: Timestamp) -> Self {
        Self { since: now, green_since: None }
    }

    /// `settle` is what was learnt of the zone's servers: how long green must last before the CA sees it too.
    pub fn after(
        self,
        round: Round,
        word: ProviderWord,
        settle: Duration,
        pace: &Pace,
        now: Timestamp,
    ) -> (Self, Next) {
        let gap = match round {
            Round::Green { complete: true } if word != ProviderWord::Pending => pace.gap,
            Round::Green { complete: false } if word != ProviderWord::Pending => pace.gap_incomplete,
            Round::Green { .. } | Round::Missing | Round::TooFew => return self.not_yet(pace, now),
        };
        let green_since = self.green_since.unwrap_or(now);
        let watch = Self { green_since: Some(green_since), ..self };
        let enough = green_since.after(gap.max(settle));
        // A round of its own, however short the gap: one look never suffices.
        if self.green_since.is_some() && enough <= now {
            (watch, Next::Submit { green_for: green_since.until(now) })
        } else {
            (watch, Next::LookAgain(enough.max(now.after(MOMENT))))
        }
    }

    fn not_yet(self, pace: &Pace, now: Timestamp) -> (Self, Next) {
        let elapsed = self.since.until(now);
        let watch = Self { green_since: None, ..self };
        if elapsed >= pace.total {
            return (watch, Next::GiveUp);
        }
        let at = now.after(pace.wait(elapsed)).min(self.since.after(pace.total));
        (watch, Next::LookAgain(at))
    }
}

/// No wait is shorter, so that nothing is looked at without end.
const MOMENT: Duration = Duration::from_millis(100);

/// Whether a failed DNS-01 validation says that the CA did not see what every server showed us.
pub fn speaks_of_propagation(class: FailureClass) -> bool {
    matches!(class, FailureClass::DnsNxdomain | FailureClass::WrongContent)
}

#[cfg(test)]
mod tests;
