//! Takes spans to the collector, many at a time. A collector that is away costs spans, and nothing else.

use std::time::Duration;

use metrics::{Counter, counter, describe_counter};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::collector::{Collector, SendError};
use super::otlp::{Resource, encode};
use super::span::Span;

/// Spans of one request.
const BATCH_MAX: usize = 512;
/// How long a span waits for others.
const GATHER: Duration = Duration::from_millis(500);
/// Between the tries to send one batch; after the last one it is dropped, so that what is sent at last is not too old to
/// matter.
const WAITS: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];
/// However long a collector asks to be left alone.
const WAIT_MAX: Duration = Duration::from_secs(30);

const SPANS: &str = "lockkeeper_trace_spans_total";

/// Every instrument of the traces.
#[derive(Debug, Clone)]
pub(super) struct Instruments {
    pub(super) exported: Counter,
    /// There was no room for it in the queue.
    pub(super) queue_full: Counter,
    /// The collector was away for too long, or did not want it.
    pub(super) unreachable: Counter,
    pub(super) refused: Counter,
}

impl Instruments {
    pub(super) fn register() -> Self {
        describe_counter!(SPANS, "Spans of traces, by what became of them: sent, or why they were dropped.");
        let of = |outcome: &'static str| {
            let counter = counter!(SPANS, "outcome" => outcome);
            counter.increment(0);
            counter
        };
        Self {
            exported: of("exported"),
            queue_full: of("queue_full"),
            unreachable: of("unreachable"),
            refused: of("refused"),
        }
    }
}

pub(super) struct Exporter {
    pub(super) collector: Collector,
    pub(super) resource: Resource,
    pub(super) instruments: Instruments,
    pub(super) stop: CancellationToken,
}

impl Exporter {
    pub(super) async fn run(self, mut received: mpsc::Receiver<Span>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut is_away = false;
        loop {
            let open = tokio::select! {
                biased;
                count = received.recv_many(&mut batch, BATCH_MAX) => count > 0,
                // What was taken before is still sent.
                () = self.stop.cancelled() => {
                    received.close();
                    received.recv_many(&mut batch, BATCH_MAX).await > 0
                }
            };
            if !open {
                return;
            }
            self.gather(&mut received, &mut batch).await;
            let count = batch.len() as u64;
            let body = encode(&self.resource, std::mem::take(&mut batch));
            match self.send(body).await {
                Ok(refused) => {
                    let refused = refused.min(count);
                    self.instruments.exported.increment(count - refused);
                    self.instruments.refused.increment(refused);
                    if std::mem::take(&mut is_away) {
                        info!(event = "traces.collector_back", "The collector of traces takes spans again");
                    }
                }
                Err(error) => {
                    let counter = match error {
                        SendError::Refused { .. } => &self.instruments.refused,
                        _ => &self.instruments.unreachable,
                    };
                    counter.increment(count);
                    // Said once: it may be away for days.
                    if !std::mem::replace(&mut is_away, true) {
                        warn!(
                            event = "traces.collector_away",
                            error = &error as &dyn std::error::Error,
                            "{count} spans were dropped: the collector does not take them"
                        );
                    }
                }
            }
        }
    }

    async fn gather(&self, received: &mut mpsc::Receiver<Span>, batch: &mut Vec<Span>) {
        let until = tokio::time::Instant::now() + GATHER;
        while batch.len() < BATCH_MAX {
            let room = BATCH_MAX - batch.len();
            tokio::select! {
                count = received.recv_many(batch, room) => if count == 0 { return },
                () = tokio::time::sleep_until(until) => return,
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// How many of them the collector has refused.
    async fn send(&self, body: bytes::Bytes) -> Result<u64, SendError> {
        let mut waits = WAITS.iter();
        loop {
            let error = match self.collector.send(body.clone()).await {
                Ok(refused) => return Ok(refused),
                Err(error) => error,
            };
            let Some(wait) = waits.next().filter(|_| error.passes()) else { return Err(error) };
            let wait = error.retry_after().unwrap_or(*wait).min(WAIT_MAX);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // One more try, and no waiting.
                () = self.stop.cancelled() => return self.collector.send(body).await,
            }
        }
    }
}
