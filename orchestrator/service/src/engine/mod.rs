//! Claims due orders and performs their steps, one request at a time.
//!
//! ```text
//! dispatcher ── claims ──▶ executor ── step ──▶ performer ── one request ──▶ CA, resolver, web server
//!     ▲                       │  ▲                                             │
//!     └── permits, next due ──┘  └──────────────── answer ─────────────────────┘
//!                             ├──▶ gate       (admissions of one moment, one transaction)
//!                             ├──▶ committer  (ends of steps of one moment, one commit)
//!                             ├──▶ inbox      (what can no longer be written under the lease)
//!                             └──▶ notes      (what was seen of names, beside the orders)
//! ```
//!
//! What to do next, and what an answer means, is decided in `issuance`. The engine never sleeps over a lease:
//! a wait is the order's `due_at`, and the order goes back to the queue.

mod agenda;
mod announcements;
mod batch;
mod committer;
mod consequences;
mod dispatcher;
mod ends;
mod executor;
mod gate;
mod inbox;
mod instruments;
mod lessons;
mod notes;
mod performance;
mod performer;
mod persisting;
mod problems;
mod proof;
mod request;
mod seat;

use std::sync::Arc;
use std::time::Duration;

use issuance::ids::AccountId;
use issuance::profile::CaProfile;
use issuance::time::Clock;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::acme::Account;
use crate::challenge::http01::Announcer;
use crate::challenge::preflight::Preflight;
use crate::clock::Pace;
use crate::keys::{KeyKind, Sealer};
use crate::records::Records;
use crate::store::Store;
use crate::store::leases::Replica;
use crate::telemetry::traces::Tracer;

use self::committer::Committer;
use self::dispatcher::Dispatcher;
use self::executor::Executor;
use self::gate::{Gate, Sight};
use self::inbox::Inbox;
use self::instruments::Instruments;
use self::notes::Notes;
use self::performer::Performer;
use self::proof::Prover;

/// How long what was learnt too late may take to be written down, once nothing else is under way.
const INBOX_DRAIN: Duration = Duration::from_secs(2);

/// How an engine works.
#[derive(Debug, Clone, Copy)]
pub struct EngineSettings {
    /// Orders on their way at the CA that are worked on at once. One that waits for the CA holds no permit.
    pub permits: u16,
    /// Orders whose names are proven at home at once: a slow site must not take a CA permit's place.
    pub proving: u16,
    /// How long a claim lasts without a sign of life.
    pub lease: Duration,
    /// No request takes longer; none starts that could outlive its lease.
    pub request_timeout: Duration,
    /// How long a shutdown waits for what is under way.
    pub drain: Duration,
    /// The database is looked at this often when nothing wakes the engine.
    pub poll_interval: Duration,
    pub key_kind: KeyKind,
    /// Of a thousand names that a check says are not ready, so many are put to the CA all the same.
    pub sampled_per_thousand: u16,
}

/// What an engine works with.
#[derive(Debug, Clone)]
pub struct EngineParts {
    pub store: Store,
    pub account: Arc<Account>,
    pub account_id: AccountId,
    /// `None`: names are not checked at home (the operator's choice).
    pub preflight: Option<Arc<Preflight>>,
    /// For orders whose names are proven by TXT records.
    pub records: Arc<Records>,
    pub sealer: Arc<Sealer>,
    pub profile: Arc<CaProfile>,
    pub clock: Arc<dyn Clock>,
    pub pace: Pace,
    pub replica: Replica,
    /// The certificate profile asked for where an order names none.
    pub certificate_profile: Option<Box<str>>,
    /// Rung by whoever has made orders due.
    pub wake: Arc<Notify>,
    /// Takes the responses that were committed to those who serve them.
    pub announcer: Announcer,
    pub tracer: Tracer,
}

/// A running engine. Dropping the handle does not stop it: [`Engine::stop`] does.
#[derive(Debug)]
pub struct Engine {
    stop: CancellationToken,
    workers: TaskTracker,
    services: TaskTracker,
    services_stop: CancellationToken,
    inbox_stop: CancellationToken,
    inbox_tasks: TaskTracker,
    drain: Duration,
}

impl Engine {
    /// Starts claiming at once.
    pub fn start(parts: EngineParts, settings: EngineSettings) -> Self {
        let stop = CancellationToken::new();
        let services_stop = CancellationToken::new();
        let (workers, services) = (TaskTracker::new(), TaskTracker::new());
        let (inbox_tasks, inbox_stop) = (TaskTracker::new(), CancellationToken::new());
        let inbox = Inbox::new(&parts, inbox_tasks.clone(), inbox_stop.clone());
        let instruments = Instruments::register();
        lessons::register();
        let sight = Sight::new(Arc::clone(&parts.wake));
        let gate = Gate::start(&parts, sight.clone(), &services, services_stop.clone());
        let notes = Notes::start(&parts, &services, services_stop.clone());
        let committer = Committer::start(&parts, &services, services_stop.clone());
        let executor = Arc::new(Executor {
            performer: Performer {
                store: parts.store.clone(),
                account: Arc::clone(&parts.account),
                account_id: parts.account_id,
                prover: Prover {
                    store: parts.store.clone(),
                    account: parts.account_id,
                    preflight: parts.preflight.clone(),
                    clock: Arc::clone(&parts.clock),
                    notes,
                    sampled_per_thousand: settings.sampled_per_thousand,
                },
                records: Arc::clone(&parts.records),
                sealer: Arc::clone(&parts.sealer),
                clock: Arc::clone(&parts.clock),
                key_kind: settings.key_kind,
            },
            inbox,
            gate,
            sight: sight.clone(),
            committer,
            store: parts.store.clone(),
            account_id: parts.account_id,
            profile: Arc::clone(&parts.profile),
            clock: Arc::clone(&parts.clock),
            settings,
            certificate_profile: parts.certificate_profile.clone(),
            stop: stop.clone(),
            instruments,
            tracer: parts.tracer.clone(),
        });
        let dispatcher = Dispatcher::new(parts, settings, executor, sight, workers.clone(), stop.clone());
        workers.spawn(dispatcher.run());
        let drain = settings.drain;
        Self { stop, workers, services, services_stop, inbox_stop, inbox_tasks, drain }
    }

    /// Stops claiming, lets what is under way come to a safe point, and gives its leases back. What does not
    /// end in time keeps its lease until that runs out; nothing is lost by it.
    pub async fn stop(self) {
        self.stop.cancel();
        self.workers.close();
        self.inbox_tasks.close();
        // An answer that nobody waits for any more is worth the same patience as one that somebody does.
        let at_work = async { tokio::join!(self.workers.wait(), self.inbox_tasks.wait()) };
        if tokio::time::timeout(self.drain, at_work).await.is_err() {
            warn!(
                event = "drain.ended_early",
                workers = self.workers.len(),
                "Drain ended with orders under way; their leases run out by themselves"
            );
        }
        self.services_stop.cancel();
        self.services.close();
        self.services.wait().await;
        self.inbox_stop.cancel();
        if tokio::time::timeout(INBOX_DRAIN, self.inbox_tasks.wait()).await.is_err() {
            warn!(
                event = "drain.late_answers",
                "Drain ended with late answers under way; what they would have told stays counted as held"
            );
        }
        info!(event = "engine.stopped", "Engine stopped");
    }
}
