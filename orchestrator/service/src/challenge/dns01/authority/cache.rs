//! Remembers for a moment what the database said, so that a name that is asked for much is read once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::super::record_name::RecordName;
use super::{Texts, TextsError};

/// Short enough that whoever has published a record sees it served at the next look.
const KEPT_FOR: Duration = Duration::from_millis(250);
/// Names remembered. When it is full, all is forgotten at once: in a quarter of a second it would be anyway.
const NAMES_MAX: usize = 4_096;
/// Questions to the database at once; more are told to come again.
const READS_MAX: usize = 32;
/// How long one of them may take: a resolver asks again after about as long.
const READ_WAIT_MAX: Duration = Duration::from_millis(1_500);

pub(super) struct Cache {
    texts: Arc<dyn Texts>,
    known: Mutex<HashMap<RecordName, Entry>>,
    reads: Semaphore,
}

#[derive(Debug, Clone)]
struct Entry {
    texts: Option<Vec<String>>,
    until: Instant,
}

impl Cache {
    pub(super) fn new(texts: Arc<dyn Texts>) -> Self {
        Self { texts, known: Mutex::default(), reads: Semaphore::new(READS_MAX) }
    }

    pub(super) async fn texts(&self, owner: &RecordName) -> Result<Option<Vec<String>>, TextsError> {
        if let Some(entry) = self.known(owner) {
            return Ok(entry.texts);
        }
        let Ok(_seat) = self.reads.try_acquire() else {
            return Err(TextsError::new("too many questions at once"));
        };
        let read = timeout(READ_WAIT_MAX, self.texts.texts(owner)).await;
        let texts = read.map_err(|_| TextsError::new("the database does not answer in time"))??;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= NAMES_MAX {
            known.clear();
        }
        known.insert(owner.clone(), Entry { texts: texts.clone(), until: Instant::now() + KEPT_FOR });
        Ok(texts)
    }

    fn known(&self, owner: &RecordName) -> Option<Entry> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(owner).filter(|entry| Instant::now() < entry.until).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;

    use super::*;

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Texts for Counted {
        fn texts<'a>(
            &'a self,
            owner: &'a RecordName,
        ) -> BoxFuture<'a, Result<Option<Vec<String>>, TextsError>> {
            self.0.fetch_add(1, Ordering::SeqCst);
            let texts = Some(vec![owner.to_string()]);
            async move { Ok(texts) }.boxed()
        }
    }

    fn name(number: usize) -> RecordName {
        RecordName::parse(&format!("n{number}.acme.test")).expect("a name")
    }

    #[tokio::test]
    async fn a_name_is_read_once_in_a_moment_and_what_is_remembered_is_bounded() {
        let texts = Arc::new(Counted::default());
        let cache = Cache::new(texts.clone());
        for _ in 0..10 {
            assert_eq!(cache.texts(&name(0)).await.expect("read"), Some(vec![name(0).to_string()]));
        }
        assert_eq!(texts.0.load(Ordering::SeqCst), 1);
        for number in 0..3 * NAMES_MAX {
            cache.texts(&name(number)).await.expect("read");
        }
        assert!(cache.known.lock().expect("no panic").len() <= NAMES_MAX);
    }

    #[tokio::test]
    async fn more_questions_than_there_are_places_are_turned_away() {
        let cache = Cache::new(Arc::new(Counted::default()));
        let _all = cache.reads.acquire_many(READS_MAX as u32).await.expect("places");
        assert!(cache.texts(&name(1)).await.is_err());
    }
}
