//! A hosted site: its names, the server that serves it, and what is broken about it.

use issuance::identifier::Hostname;

use super::fault::Fault;

/// A hosted site and the web server that serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// A wildcard stands for its validation target.
    pub names: Vec<Hostname>,
    /// Counted from 0; beyond the last server it wraps around.
    pub server: u8,
    pub damage: Option<Damage>,
}

impl Site {
    pub fn healthy(names: Vec<Hostname>) -> Self {
        Self { names, server: 0, damage: None }
    }

    /// Every name of the site has the fault.
    pub fn broken(names: Vec<Hostname>, fault: Fault) -> Self {
        Self { names, server: 0, damage: Some(Damage { extent: Extent::WholeSite, fault }) }
    }

    /// The fault of the name at this place of `names`, if it has one.
    pub fn fault_at(&self, place: usize) -> Option<Fault> {
        self.damage.and_then(|damage| damage.fault_at(place))
    }
}

/// What is broken about a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    pub extent: Extent,
    pub fault: Fault,
}

impl Damage {
    /// The fault of the name at this place of the site, if the damage reaches it.
    pub fn fault_at(self, place: usize) -> Option<Fault> {
        match self.extent {
            Extent::WholeSite => Some(self.fault),
            Extent::Name(broken) => (broken == place).then_some(self.fault),
        }
    }
}

/// How much of a site is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    WholeSite,
    /// The name at this place only, counted from 0.
    Name(usize),
}
