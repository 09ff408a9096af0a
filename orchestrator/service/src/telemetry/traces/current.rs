//! What is under way in this task.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use issuance::ids::OrderId;
use issuance::time::Timestamp;

use super::id::{OrderTrace, SpanId, TraceId};
use super::span::{Kind, Span, Value};
use super::traceparent::Traceparent;
use super::tracer::Tracer;

tokio::task_local! {
    static CURRENT: Current;
}

/// A span that has begun, for whoever comes below it.
#[derive(Debug, Clone)]
pub(super) struct Current {
    pub(super) tracer: Tracer,
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    /// Where the trace is an order's.
    pub(super) order: Option<OrderTrace>,
    pub(super) told: Arc<Mutex<Told>>,
}

/// What is told of a span while it lasts.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) attributes: Vec<(&'static str, Value)>,
    pub(super) error: Option<String>,
}

impl Current {
    pub(super) fn new(tracer: Tracer, trace: TraceId, span: SpanId, order: Option<OrderTrace>) -> Self {
        Self { tracer, trace, span, order, told: Arc::default() }
    }

    pub(super) async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }
}

/// Told when it is dropped: work that is given up half way has a span too.
struct Open {
    below: Current,
    parent: SpanId,
    name: &'static str,
    kind: Kind,
    start: Timestamp,
    has_ended: bool,
}

impl Drop for Open {
    fn drop(&mut self) {
        let told = std::mem::take(&mut *self.below.told.lock().unwrap_or_else(PoisonError::into_inner));
        let given_up = (!self.has_ended).then(|| "cancelled".to_owned());
        self.below.tracer.tell(Span {
            trace: self.below.trace,
            id: self.below.span,
            parent: Some(self.parent),
            parent_is_remote: false,
            name: self.name.into(),
            kind: self.kind,
            start: self.start,
            end: self.below.tracer.now(),
            attributes: told.attributes,
            links: Vec::new(),
            error: told.error.or(given_up),
        });
    }
}

/// Performs `work` as a span below the current one; outside of a trace it is only performed.
pub fn span<T>(name: &'static str, work: impl Future<Output = T>) -> impl Future<Output = T> {
    open(name, Kind::Internal, Box::pin(work))
}

/// The same, for a request to somebody else.
pub fn client_span<T>(name: &'static str, work: impl Future<Output = T>) -> impl Future<Output = T> {
    open(name, Kind::Client, Box::pin(work))
}

/// Work is on the heap: spans lie in spans, and each would take up what lies in it more than once.
async fn open<T, W: Future<Output = T>>(name: &'static str, kind: Kind, work: Pin<Box<W>>) -> T {
    let Ok(above) = CURRENT.try_with(Clone::clone) else { return work.await };
    let below = Current::new(above.tracer, above.trace, SpanId::draw(), above.order);
    let start = below.tracer.now();
    let mut open = Open { below: below.clone(), parent: above.span, name, kind, start, has_ended: false };
    let done = below.scope(work).await;
    open.has_ended = true;
    done
}

/// Performs `work` below the span of the proof of that name, which is told when the order ends.
pub fn authorization<T>(name: &str, work: impl Future<Output = T>) -> impl Future<Output = T> {
    let work = Box::pin(work);
    let below = CURRENT.try_with(|above| {
        let order = above.order?;
        Some(Current::new(above.tracer.clone(), order.id, order.authorization(name), Some(order)))
    });
    async move {
        match below {
            Ok(Some(below)) => below.scope(work).await,
            _ => work.await,
        }
    }
}

/// Like [`span`] below [`authorization`], where a name is known.
pub async fn name<T>(hostname: Option<&str>, span_name: &'static str, work: impl Future<Output = T>) -> T {
    let work = span(span_name, work);
    match hostname {
        Some(hostname) => authorization(hostname, work).await,
        None => work.await,
    }
}

/// An attribute of the current span.
pub fn note(key: &'static str, value: impl Into<Value>) {
    tell(|told| told.attributes.push((key, value.into())));
}

/// The current span has failed: `error` is a word of few.
pub fn fail(error: impl Into<String>) {
    tell(|told| told.error = Some(error.into()));
}

fn tell(change: impl FnOnce(&mut Told)) {
    // Outside of a trace there is nobody to tell.
    CURRENT.try_with(|current| change(&mut current.told.lock().unwrap_or_else(PoisonError::into_inner))).ok();
}

/// The current span, as it is handed on.
pub fn current() -> Option<Traceparent> {
    CURRENT.try_with(|current| Traceparent { trace: current.trace, span: current.span, sampled: true }).ok()
}

/// The end of that order is committed: its root is told.
pub fn order_ended(order: OrderId) {
    CURRENT.try_with(|current| current.tracer.order_ended(order)).ok();
}
