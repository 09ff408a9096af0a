//! What keeps the promises, one by one, so that a test can do without it and see the promise broken.

/// A protection that can be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protection {
    /// What new-order may create is counted before it is sent. Without it only what is in the ledger counts.
    ReservationBeforeCall,
    /// A part of the budget is kept for asking again. Without it ordinary work may use all of it.
    RecoveryReserve,
    /// A write names the lease it is made under. Without it a worker that was overtaken writes all the same.
    EpochInWrite,
    /// What an overtaken worker has learnt is kept. Without it that is dropped.
    OrphanInbox,
    /// Key and request are committed before finalize. Without it they are when finalize was answered.
    KeyBeforeFinalize,
}

impl Protection {
    pub const ALL: [Self; 5] = [
        Self::ReservationBeforeCall,
        Self::RecoveryReserve,
        Self::EpochInWrite,
        Self::OrphanInbox,
        Self::KeyBeforeFinalize,
    ];
}
