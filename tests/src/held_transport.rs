//! A way to the CA on which the answer to the first new-order is held back, or comes garbled: the CA has executed it,
//! and its sender knows nothing of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use http::{Request, StatusCode};
use lockkeeper::acme::transport::{Exchange, HyperTransport};
use lockkeeper::acme::{AcmeError, Endpoint, Transport};
use tokio::sync::watch;

#[derive(Debug)]
pub struct HeldTransport {
    inner: HyperTransport,
    garbles: bool,
    taken: AtomicBool,
    executed: watch::Sender<bool>,
    released: watch::Sender<bool>,
}

impl HeldTransport {
    /// The answer is held back until [`HeldTransport::release`].
    pub fn new() -> Result<Arc<Self>, AcmeError> {
        Self::with(false)
    }

    /// The answer comes at once, and its body is nonsense.
    pub fn garbling() -> Result<Arc<Self>, AcmeError> {
        Self::with(true)
    }

    fn with(garbles: bool) -> Result<Arc<Self>, AcmeError> {
        Ok(Arc::new(Self {
            garbles,
            inner: HyperTransport::new(None, Duration::from_secs(5))?,
            taken: AtomicBool::new(false),
            executed: watch::Sender::new(false),
            released: watch::Sender::new(false),
        }))
    }

    /// Waits until the CA has made the order whose answer is held.
    pub async fn executed(&self, within: Duration) -> anyhow::Result<()> {
        let mut executed = self.executed.subscribe();
        match tokio::time::timeout(within, executed.wait_for(|executed| *executed)).await {
            Ok(reached) => Ok(reached.map(drop)?),
            Err(_) => bail!("no new-order within {within:?}"),
        }
    }

    /// Hands the answer on.
    pub fn release(&self) {
        self.released.send_replace(true);
    }
}

impl Transport for HeldTransport {
    fn exchange(&self, endpoint: Endpoint, request: Request<Bytes>) -> Exchange<'_> {
        let exchange = self.inner.exchange(endpoint, request);
        Box::pin(async move {
            let mut response = exchange.await?;
            // A nonce may have been refused.
            let made = endpoint == Endpoint::NewOrder && response.status() == StatusCode::CREATED;
            if made && !self.taken.swap(true, Ordering::SeqCst) {
                let mut released = self.released.subscribe();
                if self.garbles {
                    self.released.send_replace(true);
                    *response.body_mut() = Bytes::from_static(b"<html>");
                }
                self.executed.send_replace(true);
                // Its sender is `self`, which outlives this.
                drop(released.wait_for(|released| *released).await);
            }
            Ok(response)
        })
    }
}
