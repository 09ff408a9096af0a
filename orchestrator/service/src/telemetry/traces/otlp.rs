//! Spans as OTLP has them (opentelemetry-proto, `trace.proto`).

use bytes::Bytes;
use issuance::time::Timestamp;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource as OtlpResource;
use opentelemetry_proto::tonic::trace::v1::span::{Link as OtlpLink, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as OtlpSpan, Status};
use prost::Message as _;

use super::span::{Kind, Link, Span, Value};
use crate::config::TracesConfig;

/// Of `flags`: the W3C flags, "sampled" and "random", and whether the parent is another service's.
const SAMPLED: u32 = 0x01;
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// Who sends spans.
#[derive(Debug, Clone)]
pub(super) struct Resource(OtlpResource);

impl Resource {
    pub(super) fn new(config: &TracesConfig, instance: String) -> Self {
        let own = [
            ("service.name", config.service_name.clone()),
            ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
            ("service.instance.id", instance),
        ];
        let own = own.into_iter().map(|(key, value)| attribute(key, Value::Text(value)));
        let more = config.resource_attributes.iter();
        let more = more.map(|one| attribute(one.key(), Value::Text(one.value().to_owned())));
        Self(OtlpResource { attributes: own.chain(more).collect(), ..OtlpResource::default() })
    }
}

/// A whole request.
pub(super) fn encode(resource: &Resource, spans: Vec<Span>) -> Bytes {
    let scope = InstrumentationScope {
        name: "lockkeeper".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_spans = ScopeSpans {
        scope: Some(scope),
        spans: spans.into_iter().map(otlp).collect(),
        ..ScopeSpans::default()
    };
    let resource_spans = ResourceSpans {
        resource: Some(resource.0.clone()),
        scope_spans: vec![scope_spans],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }.encode_to_vec().into()
}

fn otlp(span: Span) -> OtlpSpan {
    let mut attributes: Vec<KeyValue> =
        span.attributes.into_iter().map(|(key, value)| attribute(key, value)).collect();
    let status = span.error.map(|error| {
        attributes.push(attribute("error.type", Value::Text(error)));
        Status { code: StatusCode::Error.into(), ..Status::default() }
    });
    OtlpSpan {
        trace_id: span.trace.0.to_vec(),
        span_id: span.id.0.to_vec(),
        parent_span_id: span.parent.map(|parent| parent.0.to_vec()).unwrap_or_default(),
        flags: SAMPLED | HAS_IS_REMOTE | if span.parent_is_remote { IS_REMOTE } else { 0 },
        name: span.name.into_owned(),
        kind: match span.kind {
            Kind::Internal => SpanKind::Internal,
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
        }
        .into(),
        start_time_unix_nano: nanos(span.start),
        end_time_unix_nano: nanos(span.end),
        attributes,
        links: span.links.into_iter().map(link).collect(),
        status,
        ..OtlpSpan::default()
    }
}

fn link(link: Link) -> OtlpLink {
    OtlpLink {
        trace_id: link.trace.0.to_vec(),
        span_id: link.span.0.to_vec(),
        attributes: vec![attribute("lockkeeper.link", Value::from(link.relation))],
        flags: SAMPLED,
        ..OtlpLink::default()
    }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    let text = |text| AnyValue { value: Some(Any::StringValue(text)) };
    let value = match value {
        Value::Text(one) => text(one),
        Value::Number(number) => AnyValue { value: Some(Any::IntValue(number)) },
        Value::Truth(truth) => AnyValue { value: Some(Any::BoolValue(truth)) },
        Value::Texts(texts) => {
            let values = texts.into_iter().map(text).collect();
            AnyValue { value: Some(Any::ArrayValue(ArrayValue { values })) }
        }
    };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn nanos(at: Timestamp) -> u64 {
    u64::try_from(at.unix_micros()).unwrap_or(0).saturating_mul(1_000)
}
