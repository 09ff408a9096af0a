//! The board: which challenge responses there are, in the memory of this process.
//!
//! ```text
//! engine ── after its commit ──▶ Announcer ──▶ board of this process
//!                                    └── one notice for many ──▶ boards of other replicas
//! responder ── find ──▶ board ── not on it ──▶ inquiry ── many tokens, one question ──▶ the database
//! ```
//!
//! What is on it is answered whether the database is there or not. What is not on it is no less true: the database
//! is asked, so that a notice that is late or lost costs a look-up and nothing else.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use issuance::ids::OrderId;
use metrics::{Gauge, describe_gauge, gauge};
use tokio::sync::Notify;

use super::inquiry::{Inquiry, Unanswered};

const SIZE: &str = "lockkeeper_responder_responses";

/// A response as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    pub order: OrderId,
    pub token: Box<str>,
    /// RFC 8555 §8.1.
    pub key_authorization: Box<str>,
}

/// Where the truth is: the same on every replica.
pub trait Responses: Send + Sync {
    /// Those of these tokens under which something is to be served now.
    fn look_up(&self, tokens: Vec<String>) -> BoxFuture<'_, Result<Vec<Presented>, ResponsesError>>;
}

#[derive(Debug, thiserror::Error)]
#[error("could not read the challenge responses")]
pub struct ResponsesError {
    /// Whether it may be otherwise in a moment.
    pub(super) passes: bool,
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

impl ResponsesError {
    /// The database is away: it is asked again for as long as the client waits.
    pub fn away(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { passes: true, source: source.into() }
    }

    pub fn refused(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { passes: false, source: source.into() }
    }
}

/// A response on the board.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) order: OrderId,
    pub(super) key_authorization: Bytes,
    /// Gone from the ledger when that was last read as a whole: it is asked about before it is served.
    withdrawn: AtomicBool,
    /// Requests for it that were handed to the log.
    pub(super) fetches: AtomicU32,
    /// And looks of our own.
    pub(super) looks: AtomicU32,
}

impl Posted {
    fn new(presented: &Presented) -> Self {
        Self {
            order: presented.order,
            key_authorization: Bytes::copy_from_slice(presented.key_authorization.as_bytes()),
            withdrawn: AtomicBool::new(false),
            fetches: AtomicU32::new(0),
            looks: AtomicU32::new(0),
        }
    }

    fn is_current(&self) -> bool {
        !self.withdrawn.load(Ordering::Relaxed)
    }
}

/// What is known under a token.
#[derive(Debug)]
pub(super) enum Found {
    Current(Arc<Posted>),
    /// It was served once, and its authorization has ended.
    Withdrawn(Arc<Posted>),
    Nothing,
}

/// All responses that this process knows. Its size is that of the ledger's open challenges: what strangers ask for
/// leaves nothing on it.
pub struct Board {
    shelf: RwLock<HashMap<Box<str>, Arc<Posted>>>,
    inquiry: Inquiry,
    size: Gauge,
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").finish_non_exhaustive()
    }
}

impl Board {
    /// An empty one, which asks `responses` for what is not on it. No more than `waiting_max` requests wait for an
    /// answer of it at once.
    pub fn new(responses: Arc<dyn Responses>, waiting_max: usize) -> Self {
        describe_gauge!(SIZE, "Challenge responses that this replica knows.");
        Self { shelf: RwLock::default(), inquiry: Inquiry::new(responses, waiting_max), size: gauge!(SIZE) }
    }

    /// Adds what was committed.
    pub fn post(&self, presented: &[Presented]) {
        let mut shelf = self.shelf.write().unwrap_or_else(PoisonError::into_inner);
        for one in presented {
            put(&mut shelf, one);
        }
        self.size.set(shelf.len() as f64);
    }

    /// Makes the board what the ledger was when it was read as a whole. What has gone from it is kept, as withdrawn,
    /// until the next time: it may have come between the reading and now, and a late request for it is still of
    /// interest.
    pub fn replace(&self, all: &[Presented]) {
        let current: HashSet<&str> = all.iter().map(|one| &*one.token).collect();
        let mut shelf = self.shelf.write().unwrap_or_else(PoisonError::into_inner);
        shelf.retain(|token, posted| {
            current.contains(&**token) || !posted.withdrawn.swap(true, Ordering::Relaxed)
        });
        for one in all {
            put(&mut shelf, one);
        }
        self.size.set(shelf.len() as f64);
    }

    fn on_shelf(&self, token: &str) -> Option<Arc<Posted>> {
        self.shelf.read().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    /// What is to be served under the token.
    pub(super) async fn find(&self, token: &str) -> Result<Found, Unanswered> {
        let known = self.on_shelf(token);
        if let Some(posted) = known.as_ref().filter(|posted| posted.is_current()) {
            return Ok(Found::Current(Arc::clone(posted)));
        }
        let presented = self.inquiry.ask(token).await?;
        if let Some(presented) = presented {
            self.post(std::slice::from_ref(&presented));
            return Ok(self.on_shelf(token).map_or(Found::Nothing, Found::Current));
        }
        Ok(known.map_or(Found::Nothing, Found::Withdrawn))
    }

    /// Responses on it, withdrawn ones included.
    pub fn len(&self) -> usize {
        self.shelf.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is on the board under the token, whatever the database would say.
    pub(super) fn glance(&self, token: &str) -> Option<Arc<Posted>> {
        self.on_shelf(token)
    }
}

fn put(shelf: &mut HashMap<Box<str>, Arc<Posted>>, presented: &Presented) {
    match shelf.get(&presented.token) {
        // Counts go on.
        Some(posted)
            if posted.order == presented.order
                && *posted.key_authorization == *presented.key_authorization.as_bytes() =>
        {
            posted.withdrawn.store(false, Ordering::Relaxed);
        }
        _ => {
            shelf.insert(presented.token.clone(), Arc::new(Posted::new(presented)));
        }
    }
}

/// Takes what the engine has committed to the board of this process, and keeps the orders for those who tell the
/// other replicas.
#[derive(Debug, Clone, Default)]
pub struct Announcer(Arc<Announcements>);

#[derive(Debug, Default)]
struct Announcements {
    board: Option<Arc<Board>>,
    untold: Mutex<HashSet<OrderId>>,
    bell: Notify,
}

impl Announcer {
    /// `board`: that of this process, if it serves one.
    pub fn new(board: Option<Arc<Board>>) -> Self {
        Self(Arc::new(Announcements { board, ..Announcements::default() }))
    }

    /// Takes responses whose commit is there.
    pub fn announce(&self, presented: &[Presented]) {
        if presented.is_empty() {
            return;
        }
        if let Some(board) = &self.0.board {
            board.post(presented);
        }
        self.untold().extend(presented.iter().map(|one| one.order));
        self.0.bell.notify_one();
    }

    /// The orders that other replicas have not been told of, as soon as there are any.
    pub async fn next(&self) -> Vec<OrderId> {
        loop {
            let orders: Vec<_> = self.untold().drain().collect();
            if !orders.is_empty() {
                return orders;
            }
            self.0.bell.notified().await;
        }
    }

    fn untold(&self) -> std::sync::MutexGuard<'_, HashSet<OrderId>> {
        self.0.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
