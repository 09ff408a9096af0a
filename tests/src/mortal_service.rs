//! A service in this process that can die and stand still as a process can: it runs on a runtime of its own, with one
//! thread for all that it does.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use lockkeeper::app::{App, Launch};
use lockkeeper::mishaps::{Fate, set_for_this_thread};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::fate::PlannedFate;

/// Look-ups in blocking threads may outlive their runtime for so long.
const LEFT_OVERS_END_WITHIN: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct MortalService {
    fate: Arc<PlannedFate>,
    stop: CancellationToken,
    gone: oneshot::Receiver<anyhow::Result<()>>,
}

impl MortalService {
    /// Returns once the service listens, or has died on the way there.
    pub async fn start(launch: Launch, fate: Arc<PlannedFate>) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let (ready, is_ready) = oneshot::channel();
        let (ended, gone) = oneshot::channel();
        let (own_fate, own_stop) = (Arc::clone(&fate), stop.clone());
        thread::Builder::new().name("replica".into()).spawn(move || {
            // Whoever no longer waits has given the test up.
            drop(ended.send(live(launch, &own_fate, &own_stop, ready)));
        })?;
        // It says why it is gone to whoever asks for its end.
        drop(is_ready.await);
        Ok(Self { fate, stop, gone })
    }

    pub fn fate(&self) -> &PlannedFate {
        &self.fate
    }

    /// Waits for a death that was planned.
    pub async fn gone(self) -> anyhow::Result<()> {
        self.gone.await.context("the replica's thread panicked")?
    }

    /// Asks it to stop as SIGTERM does, and waits for that.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.fate.let_go_on();
        self.stop.cancel();
        self.gone().await
    }
}

fn live(
    launch: Launch,
    fate: &Arc<PlannedFate>,
    stop: &CancellationToken,
    ready: oneshot::Sender<()>,
) -> anyhow::Result<()> {
    let known: Arc<dyn Fate> = fate.clone();
    set_for_this_thread(Arc::clone(&known));
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .on_thread_start(move || set_for_this_thread(Arc::clone(&known)))
        .build()?;
    // What is left of it in memory when its work has ended; the lock on its data folder among that.
    let remains = runtime.block_on(async {
        let app = App::start(launch).await?;
        let _ = ready.send(());
        tokio::select! {
            () = stop.cancelled() => {
                app.stop().await?;
                anyhow::Ok(None)
            }
            () = fate.killed() => Ok(Some(app)),
        }
    });
    // Nothing of it runs any more after this, and nothing of it has said goodbye.
    runtime.shutdown_timeout(LEFT_OVERS_END_WITHIN);
    remains.map(drop).map_err(|error| anyhow!("a service ended: {error:#}"))
}
