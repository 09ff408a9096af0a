//! The signals that end the service: the first asks, the second insists.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Asked once: stop in order. Asked twice: now.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// Stop claiming, finish what is under way, give the rest back.
    pub asked: CancellationToken,
    /// Leave everything as it is; the next start picks it up.
    pub insisted: CancellationToken,
}

/// Listens for SIGTERM and SIGINT for as long as the process runs.
///
/// # Errors
/// The operating system refuses to hand out signals.
pub fn listen() -> std::io::Result<Shutdown> {
    let shutdown = Shutdown { asked: CancellationToken::new(), insisted: CancellationToken::new() };
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let tokens = shutdown.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if tokens.asked.is_cancelled() {
                warn!(event = "stop.insisted", "Asked again to stop: stopping at once");
                tokens.insisted.cancel();
                return;
            }
            info!(event = "stop.asked", "Asked to stop: finishing what is under way");
            tokens.asked.cancel();
        }
    });
    Ok(shutdown)
}
