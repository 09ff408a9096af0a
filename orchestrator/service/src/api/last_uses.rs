//! When keys were last used: written down beside the requests, and not in their way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use issuance::ids::ApiKeyId;
use issuance::time::Timestamp;
use tracing::warn;

use crate::store::Store;

/// No use is written within this of the last one.
const APART: Duration = Duration::from_mins(1);
/// More keys than this at once, and what is older than [`APART`] is forgotten.
const KEPT_MAX: usize = 4_096;

/// The uses of this replica that are written already. Only keys that exist come here.
#[derive(Debug, Clone, Default)]
pub(super) struct LastUses(Arc<Mutex<HashMap<ApiKeyId, Timestamp>>>);

impl LastUses {
    pub(super) fn note(&self, store: &Store, key: ApiKeyId, at: Timestamp) {
        if !self.is_due(key, at) {
            return;
        }
        let store = store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.note_use(key, at, APART).await {
                warn!(
                    event = "api_key.use_not_noted",
                    error = &error as &dyn std::error::Error,
                    "That the key {key} was used is not written down"
                );
            }
        });
    }

    fn is_due(&self, key: ApiKeyId, at: Timestamp) -> bool {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if written.get(&key).is_some_and(|last| last.after(APART) > at) {
            return false;
        }
        if written.len() >= KEPT_MAX {
            written.retain(|_, last| last.after(APART) > at);
        }
        written.insert(key, at);
        true
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_key_is_written_once_a_minute() {
        let uses = LastUses::default();
        let (key, other) = (ApiKeyId(Uuid::nil()), ApiKeyId(Uuid::max()));
        let at = |seconds| Timestamp::from_unix_seconds(seconds);
        assert!(uses.is_due(key, at(0)));
        assert!(!uses.is_due(key, at(59)));
        assert!(uses.is_due(other, at(59)));
        assert!(uses.is_due(key, at(60)));
    }
}
