use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use issuance::ids::OrderId;
use issuance::time::{Clock, Timestamp};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::collector::{Collector, CollectorError};
use super::current::Current;
use super::export::{Exporter, Instruments};
use super::id::{OrderTrace, SpanId, TraceId};
use super::otlp::Resource;
use super::span::{Kind, Span, Value};
use super::traceparent::Traceparent;
use crate::config::TracesConfig;

/// Orders whose roots are still to be told: more than end in a second. What does not fit is not told.
const ENDS_MAX: usize = 4_096;
/// How long spans may take to leave at the end.
const STOP_WAIT: Duration = Duration::from_secs(3);

/// Makes spans, and hands them to whoever sends them. Nobody waits for that: what does not fit into the queue is dropped and
/// counted.
#[derive(Clone)]
pub struct Tracer(Option<Arc<Working>>);

struct Working {
    spans: mpsc::Sender<Span>,
    ends: mpsc::Sender<OrderId>,
    sample_ratio: f64,
    clock: Arc<dyn Clock>,
    instruments: Instruments,
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tracer").field(&self.0.is_some()).finish()
    }
}

impl Tracer {
    /// Makes none.
    pub const OFF: Self = Self(None);

    /// Performs `work` as a part of that order's trace, if that is sampled.
    pub fn follow<T>(&self, order: OrderId, work: impl Future<Output = T>) -> impl Future<Output = T> {
        let work = Box::pin(work);
        let trace = OrderTrace::of(order);
        let current =
            self.samples(trace.id).then(|| Current::new(self.clone(), trace.id, trace.root, Some(trace)));
        async move {
            match current {
                Some(current) => current.scope(work).await,
                None => work.await,
            }
        }
    }

    /// Performs `work` as the answer to a request that comes from `caller`. `told` looks at what came of it: an attribute or
    /// more, and whether it failed.
    pub async fn serve<T>(
        &self,
        caller: Option<Traceparent>,
        name: String,
        work: impl Future<Output = T>,
        told: impl FnOnce(&T) -> (Vec<(&'static str, Value)>, Option<String>),
    ) -> T {
        let trace = caller.map_or_else(TraceId::draw, |caller| caller.trace);
        let wanted = caller.map_or_else(|| self.samples(trace), |caller| caller.sampled);
        if self.0.is_none() || !wanted {
            return work.await;
        }
        let (id, start) = (SpanId::draw(), self.now());
        let work = Box::pin(work);
        let current = Current::new(self.clone(), trace, id, None);
        let done = current.scope(work).await;
        let (attributes, error) = told(&done);
        self.tell(Span {
            trace,
            id,
            parent: caller.map(|caller| caller.span),
            parent_is_remote: caller.is_some(),
            name: name.into(),
            kind: Kind::Server,
            start,
            end: self.now(),
            attributes,
            links: Vec::new(),
            error,
        });
        done
    }

    pub fn samples(&self, trace: TraceId) -> bool {
        self.0.as_ref().is_some_and(|working| trace.is_sampled(working.sample_ratio))
    }

    /// Takes a span that has ended.
    pub fn tell(&self, span: Span) {
        let Some(working) = &self.0 else { return };
        if working.spans.try_send(span).is_err() {
            working.instruments.queue_full.increment(1);
        }
    }

    /// The end of that order is committed.
    pub(super) fn order_ended(&self, order: OrderId) {
        let Some(working) = &self.0 else { return };
        if working.ends.try_send(order).is_err() {
            working.instruments.queue_full.increment(1);
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.0.as_ref().map_or(Timestamp::EPOCH, |working| working.clock.now())
    }
}

/// A tracer at work, with what sends its spans.
#[derive(Debug)]
pub struct Traces {
    pub tracer: Tracer,
    /// Orders that have ended, for whoever can read them.
    pub ends: mpsc::Receiver<OrderId>,
    exporter: JoinHandle<()>,
    stop: CancellationToken,
}

impl Traces {
    /// `None` where no collector is named. `instance`: this replica.
    pub fn start(
        config: &TracesConfig,
        instance: String,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Self>, CollectorError> {
        let instruments = Instruments::register();
        let Some(endpoint) = &config.endpoint else { return Ok(None) };
        let collector = Collector::new(endpoint, config)?;
        let resource = Resource::new(config, instance);
        let (spans, received) = mpsc::channel(config.queue_spans.get() as usize);
        let (ends, ended) = mpsc::channel(ENDS_MAX);
        let stop = CancellationToken::new();
        let exporter = Exporter { collector, resource, instruments: instruments.clone(), stop: stop.clone() };
        let working = Working {
            spans,
            ends,
            sample_ratio: config.sample_ratio.get(),
            clock: Arc::clone(clock),
            instruments,
        };
        Ok(Some(Self {
            tracer: Tracer(Some(Arc::new(working))),
            ends: ended,
            exporter: tokio::spawn(exporter.run(received)),
            stop,
        }))
    }

    /// Takes out what is for whoever tells the roots, and leaves what stops the sending.
    pub fn split(self) -> (Tracer, mpsc::Receiver<OrderId>, Sending) {
        (self.tracer, self.ends, Sending { exporter: self.exporter, stop: self.stop })
    }
}

/// What sends spans.
#[derive(Debug)]
pub struct Sending {
    exporter: JoinHandle<()>,
    stop: CancellationToken,
}

impl Sending {
    /// Sends what was taken, for a moment.
    pub async fn stop(self) {
        self.stop.cancel();
        let abort = self.exporter.abort_handle();
        if tokio::time::timeout(STOP_WAIT, self.exporter).await.is_err() {
            abort.abort();
        }
    }
}
