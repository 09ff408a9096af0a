//! A collector of traces: a real HTTP server that takes what OTLP sends, as protobuf.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// One span, as it came.
#[derive(Debug, Clone)]
pub struct SpanSeen {
    pub resource: HashMap<String, String>,
    pub span: Span,
    pub attributes: HashMap<String, String>,
}

impl SpanSeen {
    pub fn trace_id(&self) -> String {
        hex(&self.span.trace_id)
    }

    pub fn id(&self) -> String {
        hex(&self.span.span_id)
    }

    /// Empty: none.
    pub fn parent(&self) -> String {
        hex(&self.span.parent_span_id)
    }

    pub fn attribute(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }

    /// Trace and span of each link, by its relation.
    pub fn links(&self) -> HashMap<String, (String, String)> {
        let link = |link: &opentelemetry_proto::tonic::trace::v1::span::Link| {
            let relation = texts(&link.attributes).remove("lockkeeper.link").unwrap_or_default();
            (relation, (hex(&link.trace_id), hex(&link.span_id)))
        };
        self.span.links.iter().map(link).collect()
    }

    /// Every text of it.
    pub fn texts(&self) -> Vec<String> {
        let own = self.attributes.iter().chain(&self.resource);
        let own = own.flat_map(|(key, value)| [key.clone(), value.clone()]);
        let status = self.span.status.iter().map(|status| status.message.clone());
        own.chain(status).chain([self.span.name.clone()]).collect()
    }
}

#[derive(Debug)]
struct Books {
    spans: Mutex<Vec<SpanSeen>>,
    headers: Mutex<Vec<HeaderMap>>,
    answers: Mutex<StatusCode>,
    /// Requests so far.
    asked: watch::Sender<u64>,
}

#[derive(Debug)]
pub struct Collector {
    pub address: SocketAddr,
    books: Arc<Books>,
    server: JoinHandle<()>,
}

impl Collector {
    pub async fn start() -> anyhow::Result<Self> {
        let books = Arc::new(Books {
            spans: Mutex::default(),
            headers: Mutex::default(),
            answers: Mutex::new(StatusCode::OK),
            asked: watch::Sender::new(0),
        });
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&books));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { address, books, server })
    }

    /// The section of a service that sends its spans here.
    pub fn section(&self) -> String {
        format!("[traces]\nendpoint = \"http://{}/v1/traces\"\n", self.address)
    }

    /// What it answers from now on; spans are taken with a 200 only.
    pub fn answer(&self, status: StatusCode) {
        *self.books.answers.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    pub fn spans(&self) -> Vec<SpanSeen> {
        self.books.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn headers(&self) -> Vec<HeaderMap> {
        self.books.headers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for what comes until `enough` holds of all spans.
    pub async fn wait_for(
        &self,
        what: &str,
        within: Duration,
        enough: impl Fn(&[SpanSeen]) -> bool,
    ) -> anyhow::Result<Vec<SpanSeen>> {
        let mut asked = self.books.asked.subscribe();
        let waiting = async {
            while !enough(&self.spans()) {
                if asked.changed().await.is_err() {
                    return;
                }
            }
        };
        if timeout(within, waiting).await.is_err() {
            let names: Vec<String> =
                self.spans().iter().map(|seen| format!("{} {}", seen.trace_id(), seen.span.name)).collect();
            bail!("not within {within:?}: {what}\n{}", names.join("\n"));
        }
        Ok(self.spans())
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(State(books): State<Arc<Books>>, headers: HeaderMap, body: Bytes) -> Response {
    let status = *books.answers.lock().unwrap_or_else(PoisonError::into_inner);
    let is_protobuf = headers.get("content-type").is_some_and(|kind| kind == "application/x-protobuf");
    books.headers.lock().unwrap_or_else(PoisonError::into_inner).push(headers);
    let taken = ExportTraceServiceRequest::decode(body);
    let answer = match taken {
        Ok(request) if status.is_success() && is_protobuf => {
            let mut spans = books.spans.lock().unwrap_or_else(PoisonError::into_inner);
            for from in request.resource_spans {
                let resource = texts(&from.resource.unwrap_or_default().attributes);
                for span in from.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                    let attributes = texts(&span.attributes);
                    spans.push(SpanSeen { resource: resource.clone(), span, attributes });
                }
            }
            let body = ExportTraceServiceResponse::default().encode_to_vec();
            ([("content-type", "application/x-protobuf")], body).into_response()
        }
        Ok(_) if !status.is_success() => status.into_response(),
        _ => StatusCode::BAD_REQUEST.into_response(),
    };
    books.asked.send_modify(|asked| *asked += 1);
    answer
}

fn texts(attributes: &[KeyValue]) -> HashMap<String, String> {
    let text = |one: &KeyValue| {
        let value = one.value.as_ref().and_then(|value| value.value.as_ref());
        (one.key.clone(), value.map(shown).unwrap_or_default())
    };
    attributes.iter().map(text).collect()
}

fn shown(value: &Value) -> String {
    match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(truth) => truth.to_string(),
        Value::ArrayValue(array) => {
            let values = array.values.iter().filter_map(|one| one.value.as_ref());
            values.map(shown).collect::<Vec<_>>().join(" ")
        }
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
