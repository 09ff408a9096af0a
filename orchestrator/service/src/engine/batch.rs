//! Many callers, one round trip: what is asked while a batch is under way makes the next one. Nobody waits
//! for a batch to fill.

use std::future::Future;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The place to hand something in.
#[derive(Debug)]
pub(super) struct Batcher<I, O> {
    counter: mpsc::Sender<(I, oneshot::Sender<O>)>,
}

impl<I: Send + 'static, O: Send + 'static> Batcher<I, O> {
    /// `run` answers a batch of at most `batch_max` in its order.
    pub(super) fn start<F, R>(
        batch_max: usize,
        tasks: &TaskTracker,
        stop: CancellationToken,
        mut run: F,
    ) -> Self
    where
        F: FnMut(Vec<I>) -> R + Send + 'static,
        R: Future<Output = Vec<O>> + Send,
    {
        let (counter, mut asked) = mpsc::channel::<(I, oneshot::Sender<O>)>(batch_max * 4);
        tasks.spawn(async move {
            let mut batch = Vec::with_capacity(batch_max);
            loop {
                let taken = tokio::select! {
                    biased;
                    taken = asked.recv_many(&mut batch, batch_max) => taken,
                    () = stop.cancelled() => 0,
                };
                if taken == 0 {
                    return;
                }
                let (items, answers): (Vec<I>, Vec<oneshot::Sender<O>>) = batch.drain(..).unzip();
                for (answer, outcome) in answers.into_iter().zip(run(items).await) {
                    // Whoever no longer listens has given up for its own reasons.
                    drop(answer.send(outcome));
                }
            }
        });
        Self { counter }
    }

    /// `None` once the engine has stopped.
    pub(super) async fn ask(&self, item: I) -> Option<O> {
        let (answer, outcome) = oneshot::channel();
        self.counter.send((item, answer)).await.ok()?;
        outcome.await.ok()
    }
}
