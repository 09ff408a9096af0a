//! Traces: one for each attempt at a certificate, sent to a collector over OTLP/HTTP. Off unless a collector is named.
//!
//! An order lives in Postgres, over many steps, workers and replicas. So its trace needs no memory of its own: its id, and
//! those of its root and of each authorization, are made from the order's id ([`OrderTrace`]), and whoever performs a step
//! makes spans below them. The root is told by whoever writes the order's end.
//!
//! What is under way is the task's ([`span()`], [`note`]), as in OpenTelemetry's Context: a request far below an attempt needs
//! no argument for it. Outside of a trace these do nothing. Instants are the injected clock's.
//!
//! Never in an attribute: keys, tokens and key authorizations of challenges, credentials, bodies, queries of URLs.

mod collector;
mod current;
mod export;
mod id;
mod otlp;
mod span;
mod traceparent;
mod tracer;

pub use collector::CollectorError;
pub use current::{authorization, client_span, current, fail, name, note, order_ended, span};
pub use id::{OrderTrace, SpanId, TraceId};
pub use span::{Kind, Link, Span, Value};
pub use traceparent::Traceparent;
pub use tracer::{Sending, Tracer, Traces};
