//! Traces, as the configuration wants them; and the roots of those of orders, told when an order has ended.

use std::sync::Arc;
use std::time::Duration;

use issuance::ids::OrderId;
use issuance::time::Clock;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::warn;

use crate::config::Config;
use crate::store::Store;
use crate::store::leases::Replica;
use crate::store::order_traces::{EndedOrder, ProvenName};
use crate::telemetry::traces::{Kind, Link, OrderTrace, Sending, Span, Tracer, Traces, Value};

use super::AppError;

/// Orders that are read at once.
const ENDS_MAX: usize = 256;
/// How long the last ones may take at the end.
const STOP_WAIT: Duration = Duration::from_secs(2);

/// What is at work for traces.
#[derive(Debug)]
pub(super) struct Tracing {
    teller: JoinHandle<()>,
    sending: Sending,
    stop: mpsc::Sender<()>,
}

/// Nothing is at work, and nothing made, where no collector is named.
pub(super) fn start(
    config: &Config,
    store: &Store,
    clock: &Arc<dyn Clock>,
    replica: Replica,
) -> Result<(Tracer, Option<Tracing>), AppError> {
    let Some(traces) = Traces::start(&config.traces, replica.0.to_string(), clock)? else {
        return Ok((Tracer::OFF, None));
    };
    let (tracer, ends, sending) = traces.split();
    let (stop, stopped) = mpsc::channel(1);
    let teller = tokio::spawn(tell_ends(ends, store.clone(), tracer.clone(), stopped));
    Ok((tracer, Some(Tracing { teller, sending, stop })))
}

impl Tracing {
    /// Tells what has ended, and sends what there is, for a moment.
    pub(super) async fn stop(self) {
        drop(self.stop);
        let abort = self.teller.abort_handle();
        if tokio::time::timeout(STOP_WAIT, self.teller).await.is_err() {
            abort.abort();
        }
        self.sending.stop().await;
    }
}

async fn tell_ends(
    mut ends: mpsc::Receiver<OrderId>,
    store: Store,
    tracer: Tracer,
    mut stopped: mpsc::Receiver<()>,
) {
    let mut orders = Vec::with_capacity(ENDS_MAX);
    loop {
        let open = tokio::select! {
            biased;
            count = ends.recv_many(&mut orders, ENDS_MAX) => count > 0,
            _ = stopped.recv() => {
                ends.close();
                ends.recv_many(&mut orders, ENDS_MAX).await > 0
            }
        };
        if !open {
            return;
        }
        orders.retain(|order| tracer.samples(OrderTrace::of(*order).id));
        match store.ended_orders(&orders).await {
            Ok(ended) => ended.iter().for_each(|order| tell(&tracer, order)),
            Err(error) => {
                let count = orders.len();
                warn!(
                    event = "traces.ends_missing",
                    error = &error as &dyn std::error::Error,
                    "The ends of {count} orders are missing from their traces"
                );
            }
        }
        orders.clear();
    }
}

/// The order as a whole, and the proof of each of its names.
fn tell(tracer: &Tracer, order: &EndedOrder) {
    let trace = OrderTrace::of(order.order);
    tracer.tell(root(trace, order));
    for name in &order.names {
        let proven = order.authorizations.iter().rev().find(|one| one.name == *name);
        tracer.tell(authorization(trace, order, name, proven));
    }
}

fn root(trace: OrderTrace, order: &EndedOrder) -> Span {
    let request =
        order.origin.map(|origin| Link { trace: origin.trace, span: origin.span, relation: "request" });
    let earlier = order.earlier.map(|earlier| {
        let OrderTrace { id, root } = OrderTrace::of(earlier);
        Link { trace: id, span: root, relation: "earlier_attempt" }
    });
    let mut attributes = vec![
        ("lockkeeper.order", Value::from(order.order.to_string())),
        ("lockkeeper.certificate", Value::from(order.certificate.to_string())),
        ("lockkeeper.tenant", Value::from(order.tenant.to_string())),
        ("lockkeeper.names", Value::from(order.names.clone())),
        ("lockkeeper.stage", Value::from(order.stage.as_str())),
        ("lockkeeper.failures", Value::from(i64::from(order.failures))),
        ("acme.ca", Value::from(order.ca.as_str())),
        ("acme.challenge.type", Value::from(order.challenge.as_str())),
    ];
    attributes.extend(order.ca_order_url.as_deref().map(|url| ("acme.order.url", Value::from(url))));
    Span {
        trace: trace.id,
        id: trace.root,
        parent: None,
        parent_is_remote: false,
        name: "order".into(),
        kind: Kind::Internal,
        start: order.accepted_at,
        end: order.ended_at,
        attributes,
        links: request.into_iter().chain(earlier).collect(),
        error: (order.stage == "failed")
            .then(|| order.fault_class.clone().unwrap_or_else(|| "failed".to_owned())),
    }
}

/// From the order's beginning, since the name is checked before there is an authorization.
fn authorization(trace: OrderTrace, order: &EndedOrder, name: &str, proven: Option<&ProvenName>) -> Span {
    let mut attributes = vec![("acme.identifier", Value::from(name))];
    if let Some(proven) = proven {
        attributes.extend([
            ("acme.authorization.url", Value::from(proven.url.as_str())),
            ("acme.authorization.status", Value::from(proven.status.as_str())),
            ("acme.authorization.opened_at", Value::from(proven.opened_at.to_string())),
        ]);
    }
    Span {
        trace: trace.id,
        id: trace.authorization(name),
        parent: Some(trace.root),
        parent_is_remote: false,
        name: "authorization".into(),
        kind: Kind::Internal,
        start: order.accepted_at,
        end: proven.and_then(|proven| proven.final_at).unwrap_or(order.ended_at).min(order.ended_at),
        attributes,
        links: Vec::new(),
        error: proven.and_then(|proven| proven.fault_class.clone()),
    }
}
