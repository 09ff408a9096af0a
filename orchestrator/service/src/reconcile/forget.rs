//! What nobody may ask for any more: answers that were kept for requests that are sent again, the log of fetches, and private
//! keys of certificates that were removed.

use std::time::Duration;

use issuance::time::Timestamp;

use super::{Pass, ReconcileError, ReconcileParts, Reconciler};

/// How long it is kept who has fetched the responses of an order. A quarter of a year is as long as most certificates
/// live: what explains one that is in use is there.
const FETCHES_KEPT: Duration = Duration::from_hours(90 * 24);
/// Rows taken away by one statement, so that none holds the table for long.
const CHUNK: u16 = 5_000;
/// Such statements of one pass; what is left over comes next time.
const CHUNKS_MAX: usize = 40;

const ANSWERS: &str = "answers";
const FETCHES: &str = "fetches";
const KEYS: &str = "keys";

#[derive(Debug)]
pub struct Forget {
    parts: ReconcileParts,
}

impl Forget {
    pub fn new(parts: ReconcileParts) -> Self {
        Self { parts }
    }
}

impl Reconciler for Forget {
    const NAME: &'static str = "forget";
    const KINDS: &'static [&'static str] = &[ANSWERS, FETCHES, KEYS];

    async fn pass(&self, now: Timestamp) -> Result<Pass, ReconcileError> {
        let ReconcileParts { store, account_id, .. } = &self.parts;
        let mut pass = Pass::default();
        pass.add(ANSWERS, store.forget_answers(now).await?);
        for _ in 0..CHUNKS_MAX {
            let gone = store.forget_fetches(now.before(FETCHES_KEPT), CHUNK).await?;
            pass.add(FETCHES, gone);
            if gone < u64::from(CHUNK) {
                break;
            }
        }
        for _ in 0..CHUNKS_MAX {
            let gone = store.erase_keys(*account_id, now, CHUNK).await?;
            pass.add(KEYS, gone);
            if gone < u64::from(CHUNK) {
                break;
            }
        }
        Ok(pass)
    }
}
