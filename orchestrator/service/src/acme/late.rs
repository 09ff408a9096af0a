//! Answers that come when nobody waits for them any more.
//!
//! new-order makes things at the CA. Once its request has left, its answer tells what was made, and is worth as much
//! after its sender's patience or lease has ended as before. So the exchange is a task of its own: its sender may
//! leave, and what comes back then is told to a [`Bystander`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::http::{Request, Response};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::endpoint::Endpoint;
use super::transport::{Transport, TransportError};

/// How long an answer is listened for that nobody waits for. A CA that has not answered by then has dropped the
/// request, or the connection is dead.
const PATIENCE: Duration = Duration::from_mins(5);
/// Exchanges under way that outlive their senders, at the most. One beyond ends with its sender, as any other request
/// does, and its answer counts as lost.
const EXCHANGES_MAX: usize = 1024;

/// The exchanges that outlive their senders, and who owns them.
#[derive(Debug, Clone)]
pub struct LateAnswers {
    tasks: TaskTracker,
    runtime: Handle,
    stop: CancellationToken,
    places: Arc<Semaphore>,
}

impl LateAnswers {
    /// Its tasks run in the runtime it is made in, belong to `tasks`, and listen no longer than until `stop`.
    pub fn new(tasks: TaskTracker, stop: CancellationToken) -> Self {
        let places = Arc::new(Semaphore::new(EXCHANGES_MAX));
        Self { tasks, runtime: Handle::current(), stop, places }
    }

    /// Somebody who hears what is learnt when its sender no longer does.
    pub fn bystander<F>(&self, told: F) -> Bystander
    where
        F: Fn(MadeOrder) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    {
        Bystander { late: self.clone(), told: Arc::new(told) }
    }
}

/// What an answer to new-order shows of what the CA has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeOrder {
    pub url: Box<str>,
    /// `None` where the answer's body could not be read.
    pub authorizations: Option<Vec<Box<str>>>,
}

/// See [`LateAnswers::bystander`].
#[derive(Clone)]
pub struct Bystander {
    pub(super) late: LateAnswers,
    told: Arc<dyn Fn(MadeOrder) -> BoxFuture<'static, ()> + Send + Sync>,
}

impl Bystander {
    /// Tells in a task: whoever has something to tell may be gone before it is written down.
    pub(super) fn tell(&self, made: MadeOrder) {
        self.late.tasks.spawn_on((self.told)(made), &self.late.runtime);
    }
}

impl fmt::Debug for Bystander {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bystander").finish_non_exhaustive()
    }
}

/// How the exchange of one request outlives its sender.
#[derive(Clone)]
pub(crate) struct Outliving {
    pub(super) late: LateAnswers,
    pub(super) heard: Arc<dyn Fn(Response<Bytes>) + Send + Sync>,
}

impl fmt::Debug for Outliving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outliving").finish_non_exhaustive()
    }
}

impl Outliving {
    /// Exchanges in a task. Dropping this future leaves the task at work, and its answer goes to the bystander.
    pub(super) async fn exchange(
        self,
        transport: Arc<dyn Transport>,
        endpoint: Endpoint,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, TransportError> {
        let Ok(place) = Arc::clone(&self.late.places).try_acquire_owned() else {
            return transport.exchange(endpoint, request).await;
        };
        let exchange = self.late.tasks.spawn_on(
            async move {
                let _place = place;
                transport.exchange(endpoint, request).await
            },
            &self.late.runtime,
        );
        let mut sender = Sender { outliving: self, exchange: Some(exchange) };
        let ended = match &mut sender.exchange {
            Some(exchange) => exchange.await,
            None => return Err(TransportError::Lost("there is no exchange".into())),
        };
        sender.exchange = None;
        ended.unwrap_or_else(|ended| Err(TransportError::Lost(ended.into())))
    }
}

/// Somebody who waits for an exchange, and leaves it to others when dropped before it has ended.
struct Sender {
    outliving: Outliving,
    exchange: Option<JoinHandle<Result<Response<Bytes>, TransportError>>>,
}

impl Drop for Sender {
    fn drop(&mut self) {
        let Some(mut exchange) = self.exchange.take() else { return };
        let Outliving { late, heard } = self.outliving.clone();
        let LateAnswers { tasks, runtime, stop, .. } = late;
        let listening = async move {
            let ended = tokio::select! {
                // What is there already is heard, also at the end.
                biased;
                ended = &mut exchange => Some(ended),
                () = tokio::time::sleep(PATIENCE) => None,
                () = stop.cancelled() => None,
            };
            match ended {
                Some(Ok(Ok(response))) => heard(response),
                Some(_) => {}
                None => exchange.abort(),
            }
        };
        tasks.spawn_on(listening, &runtime);
    }
}
