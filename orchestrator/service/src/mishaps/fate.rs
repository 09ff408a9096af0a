//! Who decides what happens at a point.

use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use super::environment;
use super::point::Point;
use super::protection::Protection;

/// What it is like to get past a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Unharmed,
    /// The connection to the database is gone, and with it the answer. Means something around commits only.
    Severed,
}

/// How long it takes to get past a point: for ever, where the process ends there.
pub type Meeting<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// Decides what happens at the points of one service.
pub trait Fate: fmt::Debug + Send + Sync {
    fn meets(&self, point: Point) -> Meeting<'_>;

    /// Whether the service has to do without this protection.
    fn lacks(&self, _: Protection) -> bool {
        false
    }
}

thread_local! {
    static FATE: RefCell<Option<Arc<dyn Fate>>> = const { RefCell::new(None) };
}

/// For everything that runs on this thread from now on. A service in a test's process has a runtime of its own, whose
/// threads all begin with this.
pub fn set_for_this_thread(fate: Arc<dyn Fate>) {
    FATE.with_borrow_mut(|own| *own = Some(fate));
}

/// The work has got to `point`.
pub async fn meet(point: Point) -> Outcome {
    match FATE.with_borrow(Clone::clone) {
        Some(fate) => fate.meets(point).await,
        None => environment::meet(point).await,
    }
}

pub fn is_without(protection: Protection) -> bool {
    FATE.with_borrow(|fate| fate.as_ref().is_some_and(|fate| fate.lacks(protection)))
}
