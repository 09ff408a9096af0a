//! The way to the orphan inbox, for what a worker has learnt and can no longer write under its lease.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use issuance::ids::{AccountId, OrderId};
use issuance::order::{Order, Stage};
use issuance::time::Clock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

use crate::acme::{Bystander, LateAnswers, MadeOrder};
use crate::store::Store;
use crate::store::orphans::{Find, OrphanKind};

use super::EngineParts;
use super::instruments::InboxInstruments;

/// Between two tries to reach a database that is away.
const AWAY_WAIT: Duration = Duration::from_millis(200);

#[derive(Debug, Clone)]
pub(super) struct Inbox {
    store: Store,
    account: AccountId,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    late: LateAnswers,
    stop: CancellationToken,
    instruments: InboxInstruments,
}

impl Inbox {
    /// What it writes, and the exchanges it listens to, belong to `tasks`; from `stop` on a database that is away is
    /// not waited for any more.
    pub(super) fn new(parts: &EngineParts, tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self {
            store: parts.store.clone(),
            account: parts.account_id,
            clock: Arc::clone(&parts.clock),
            late: LateAnswers::new(tasks.clone(), stop.clone()),
            tasks,
            stop,
            instruments: InboxInstruments::register(),
        }
    }

    /// Keeps everything the order knows of the CA. Does not wait: whoever has lost the order has lost its time too.
    pub(super) fn keep(&self, id: OrderId, order: &Order) {
        let finds = finds(order);
        if !finds.is_empty() {
            self.tasks.spawn(self.clone().write(id, finds));
        }
    }

    /// Hears what the CA made for that order, should its sender not.
    pub(super) fn bystander(&self, id: OrderId, order: &Order) -> Bystander {
        let (inbox, names) = (self.clone(), order.names.len());
        self.late.bystander(move |made| inbox.clone().write(id, finds_in(made, names)).boxed())
    }

    async fn write(self, order: OrderId, finds: Vec<Find>) {
        loop {
            match self.store.keep_orphans(self.account, order, &finds, self.clock.now()).await {
                Ok(0) => return,
                Ok(orphans) => {
                    self.instruments.kept(orphans);
                    warn!(event = "inbox.kept", order.id = %order, orphans, "Order {order}: what was learnt too late is kept in the inbox");
                    return;
                }
                Err(away) if away.is_unavailable() && !self.stop.is_cancelled() => {
                    tokio::select! {
                        () = tokio::time::sleep(AWAY_WAIT) => {}
                        () = self.stop.cancelled() => {}
                    }
                }
                Err(error) => {
                    let urls: Vec<&str> = finds.iter().map(|find| &*find.url).collect();
                    error!(
                        event = "inbox.failed",
                        order.id = %order,
                        ?urls,
                        error = &error as &dyn std::error::Error,
                        "Order {order}: what was learnt of the CA could not be kept"
                    );
                    return;
                }
            }
        }
    }
}

fn finds(order: &Order) -> Vec<Find> {
    let Some(ca) = order.stage.ca() else { return Vec::new() };
    let find = |kind, url: &str, units| Find { kind, url: url.into(), units };
    let mut finds = vec![find(OrphanKind::Order, &ca.url, 0)];
    let authorizations = order.authorizations.iter();
    finds.extend(
        authorizations.map(|one| find(OrphanKind::Authorization, &one.url, u32::from(one.holds_budget()))),
    );
    if let Stage::Finalizing { certificate_url: Some(url), .. } = &order.stage {
        finds.push(find(OrphanKind::Certificate, url, 0));
    }
    finds
}

fn finds_in(made: MadeOrder, names: usize) -> Vec<Find> {
    let unknown = if made.authorizations.is_none() { u32::try_from(names).unwrap_or(u32::MAX) } else { 0 };
    let order = Find { kind: OrphanKind::Order, url: made.url, units: unknown };
    let authorizations = made.authorizations.unwrap_or_default().into_iter();
    let authorizations = authorizations.map(|url| Find { kind: OrphanKind::Authorization, url, units: 1 });
    std::iter::once(order).chain(authorizations).collect()
}
