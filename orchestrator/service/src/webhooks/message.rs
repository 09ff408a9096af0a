//! What is sent: thin, and the same at every attempt.

use bytes::Bytes;
use issuance::time::Timestamp;
use serde_json::{Map, Value, json};

use crate::store::webhook_deliveries::ToldEvent;

/// The specification's recommendation.
const BODY_BYTES_MAX: usize = 20_000;

/// One message, signed for one attempt.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// The event's id: what a receiver knows a repetition by.
    pub(super) id: String,
    /// The attempt's instant, in Unix seconds.
    pub(super) timestamp: i64,
    /// One for each secret that is good at the moment.
    pub(super) signatures: String,
    pub(super) body: Bytes,
}

/// `{"type", "timestamp", "data"}`: what happened, and by which ids to ask for more. Where the details would make it too
/// large they are left away, and `truncated` says so.
pub(super) fn body(event: &ToldEvent) -> Bytes {
    let with = |mut data: Map<String, Value>| {
        data.insert("event_id".into(), json!(event.id));
        data.insert("tenant_id".into(), json!(event.tenant));
        data.insert("certificate_id".into(), json!(event.certificate));
        data.insert("subject".into(), json!(event.subject));
        let at: Timestamp = event.at;
        json!({ "type": event.kind, "timestamp": at, "data": data }).to_string()
    };
    let details = event.data.as_object().cloned().unwrap_or_default();
    let whole = with(details);
    if whole.len() < BODY_BYTES_MAX {
        return whole.into();
    }
    with(Map::from_iter([("truncated".to_owned(), Value::Bool(true))])).into()
}

#[cfg(test)]
mod tests {
    use issuance::ids::{CertificateId, EventId, TenantId};
    use uuid::Uuid;

    use super::*;

    fn event(data: Value) -> ToldEvent {
        ToldEvent {
            id: EventId(Uuid::from_u128(1)),
            kind: "certificate.issued".into(),
            tenant: Some(TenantId(Uuid::from_u128(2))),
            certificate: Some(CertificateId(Uuid::from_u128(3))),
            subject: "crt_x".into(),
            data,
            at: Timestamp::from_unix_seconds(1_795_255_445),
        }
    }

    #[test]
    fn a_body_says_what_happened_to_what() {
        let sent: Value = serde_json::from_slice(&body(&event(json!({ "names": ["a.com"] })))).unwrap();
        assert_eq!(
            sent,
            json!({
                "type": "certificate.issued",
                "timestamp": "2026-11-21T10:04:05Z",
                "data": {
                    "names": ["a.com"],
                    "event_id": EventId(Uuid::from_u128(1)),
                    "tenant_id": TenantId(Uuid::from_u128(2)),
                    "certificate_id": CertificateId(Uuid::from_u128(3)),
                    "subject": "crt_x",
                },
            })
        );
    }

    #[test]
    fn a_body_is_never_large() {
        let names: Vec<String> = (0..100).map(|n| format!("{n}.{}.com", "x".repeat(240))).collect();
        let sent = body(&event(json!({ "names": names })));
        assert!(sent.len() < BODY_BYTES_MAX);
        let sent: Value = serde_json::from_slice(&sent).unwrap();
        assert_eq!((&sent["data"]["truncated"], &sent["data"]["names"]), (&json!(true), &Value::Null));
        assert_eq!(sent["data"]["subject"], "crt_x");
    }
}
