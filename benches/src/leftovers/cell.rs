//! What the CA's books say of one client.

use std::fmt;

use rehearsal::audit::Event;
use rehearsal::ca::RehearsalCa;
use serde::Serialize;

use super::manners::Manners;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// Authorizations left pending.
    pub open: u64,
    /// Authorizations ever created.
    pub created: u64,
    /// Tokens of failed validations spent; at Boulder a deactivated pending authorization costs one too.
    pub failed: u64,
    /// Ever signed.
    pub certificates: u64,
}

impl Cell {
    pub(crate) fn read(ca: &RehearsalCa, manners: Manners) -> Self {
        let audit = ca.audit();
        let costs = |event: Event| match event {
            Event::Failed => true,
            Event::DeactivatedWhilePending => manners == Manners::Boulder,
            _ => false,
        };
        let records = ca.authorizations(None);
        let events = records.iter().flat_map(|record| &record.history);
        let failed = events.filter(|line| costs(line.event)).count();
        Self {
            open: audit.authorizations.pending,
            created: audit.authorizations.total,
            failed: failed as u64,
            certificates: audit.certificates,
        }
    }

    /// For the table of a run with so many orders.
    pub(crate) fn markdown(self, orders: usize) -> String {
        let Self { open, created, failed, certificates } = self;
        let twice = certificates.saturating_sub(orders as u64);
        let open = if open == 0 { "0".to_owned() } else { format!("**{open}**") };
        let failed = if failed == 0 { String::new() } else { format!(", {failed} failed") };
        let twice = if twice == 0 { String::new() } else { format!(", {twice} certified twice") };
        format!("{open} / {created}{failed}{twice}")
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { open, created, failed, certificates } = self;
        write!(f, "{open} of {created} left pending, {failed} failed, {certificates} certificates")
    }
}

/// One job's: after the accident, and after the client has run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    pub left: Cell,
    pub again: Option<Cell>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.left)?;
        match &self.again {
            Some(again) => write!(f, "; again: {again}"),
            None => Ok(()),
        }
    }
}
