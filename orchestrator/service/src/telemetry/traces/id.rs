//! Ids of traces and spans.

use std::fmt;

use issuance::ids::OrderId;
use rand::Rng as _;
use sha2::{Digest as _, Sha256};

/// 16 bytes, not all zero; hexadecimal in text (W3C Trace Context §3.2.2.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub(super) [u8; 16]);

/// 8 bytes, not all zero (W3C Trace Context §3.2.2.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub(super) [u8; 8]);

macro_rules! hexadecimal {
    ($id:ident) => {
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

hexadecimal!(TraceId);
hexadecimal!(SpanId);

impl TraceId {
    /// For what is no order.
    pub(super) fn draw() -> Self {
        Self(rand::rng().random())
    }

    /// Whether the trace is among `ratio` of all: the same on each replica, and the samplers of others that go by the id
    /// (OpenTelemetry's `TraceIdRatioBased`) decide likewise.
    pub(super) fn is_sampled(self, ratio: f64) -> bool {
        let bytes: [u8; 8] = std::array::from_fn(|place| self.0[8 + place]);
        let drawn = u64::from_be_bytes(bytes) >> 1;
        ratio >= 1.0 || (drawn as f64) < ratio * (1_u64 << 63) as f64
    }
}

impl SpanId {
    pub(super) fn draw() -> Self {
        Self(rand::rng().random())
    }
}

/// The trace of an order: nothing of it has to be stored, and every replica finds the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderTrace {
    pub id: TraceId,
    /// The span of the order as a whole.
    pub root: SpanId,
}

impl OrderTrace {
    pub fn of(order: OrderId) -> Self {
        let digest = digest("order", order.0.as_bytes());
        Self {
            id: TraceId(std::array::from_fn(|place| digest[place])),
            root: SpanId(std::array::from_fn(|place| digest[16 + place])),
        }
    }

    /// The span of the proof of that name, as it was ordered.
    pub fn authorization(&self, name: &str) -> SpanId {
        let digest = digest("authorization", &[&self.id.0, name.as_bytes()].concat());
        SpanId(std::array::from_fn(|place| digest[place]))
    }
}

fn digest(what: &str, of: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(what).chain_update([0]).chain_update(of).finalize().into()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_order_has_one_trace_and_each_of_its_names_a_span() {
        let order = OrderId(Uuid::from_u128(7));
        let trace = OrderTrace::of(order);
        assert_eq!(trace, OrderTrace::of(order));
        assert_ne!(trace.id, OrderTrace::of(OrderId(Uuid::from_u128(8))).id);
        assert_ne!(trace.authorization("a.example"), trace.authorization("b.example"));
        assert_ne!(trace.authorization("a.example"), trace.root);
        assert_eq!((trace.id.to_string().len(), trace.root.to_string().len()), (32, 16));
        // Kept: a trace that began under one release goes on under the next.
        assert_eq!(trace.id.to_string(), "259294bc017971c57e8b89ab5d735f9c");
        assert_eq!(trace.root.to_string(), "abb137946ee1638f");
    }

    #[test]
    fn a_share_of_all_orders_is_sampled() {
        let sampled = |ratio: f64| {
            let ids = (0..10_000_u128).map(|number| OrderTrace::of(OrderId(Uuid::from_u128(number))).id);
            ids.filter(|id| id.is_sampled(ratio)).count()
        };
        assert_eq!((sampled(0.0), sampled(1.0)), (0, 10_000));
        assert!((900..1_100).contains(&sampled(0.1)), "{}", sampled(0.1));
    }
}
