//! What the CA is doing this moment, for whoever must know that it does nothing.

use tokio::sync::watch;

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    requests: usize,
    validations: usize,
}

#[derive(Debug)]
pub(crate) struct Activity(watch::Sender<Counts>);

impl Default for Activity {
    fn default() -> Self {
        Self(watch::Sender::new(Counts::default()))
    }
}

/// A request that is being answered; dropped, it is not.
#[derive(Debug)]
pub(crate) struct Answering<'a>(&'a Activity);

impl Activity {
    pub(crate) fn answering(&self) -> Answering<'_> {
        self.0.send_modify(|counts| counts.requests += 1);
        Answering(self)
    }

    pub(crate) fn begin_validation(&self) {
        self.0.send_modify(|counts| counts.validations += 1);
    }

    pub(crate) fn end_validation(&self) {
        self.0.send_modify(|counts| counts.validations -= 1);
    }

    pub(crate) fn is_quiet(&self) -> bool {
        let counts = self.0.borrow();
        counts.requests == 0 && counts.validations == 0
    }

    pub(crate) async fn quiet(&self) {
        // Fails only if the sender is gone, and `self` is it.
        drop(self.0.subscribe().wait_for(|counts| counts.requests == 0 && counts.validations == 0).await);
    }

    pub(crate) async fn no_validation(&self) {
        drop(self.0.subscribe().wait_for(|counts| counts.validations == 0).await);
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|counts| counts.requests -= 1);
    }
}
