//! `GET /v1/openapi.json`: the description of the API (`OpenAPI` 3.1), made from what stands at the handlers.
//!
//! Here is added what is the same for all: how a key is sent, the scope in words, the name of a request that is carried
//! out once, and the headers of every answer.

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use utoipa::ToSchema as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::problem::ProblemDocument;
use super::problem::codes::CODES;

const ABOUT: &str = "Certificates for hosting providers. A request carries an API key as a bearer token; what a key opens \
is its scopes. What a tenant's key may not see does not exist for it (404). An error is a problem document (RFC 9457) \
with a code from a closed list. Lists are walked with `cursor`. A request that changes something may be named with an \
`Idempotency-Key`: however often it is sent, it is carried out once.";
const WRITES: [&str; 4] = ["post", "put", "patch", "delete"];
/// They are sent with a body and change nothing.
const QUESTIONS: [&str; 2] = ["/v1/headroom/forecast", "/v1/certificates/{certificate}/bundle"];
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

static DOCUMENT: LazyLock<Value> = LazyLock::new(make);
static TEXT: LazyLock<String> = LazyLock::new(|| {
    let text = serde_json::to_string_pretty(&*DOCUMENT).expect("a document of texts and numbers serializes");
    text + "\n"
});

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(read))
}

/// The description, as it is served and printed.
pub fn text() -> &'static str {
    &TEXT
}

pub(crate) fn document() -> &'static Value {
    &DOCUMENT
}

/// This description.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    tag = "service",
    security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Value, content_type = "application/json"))
)]
pub(super) async fn read() -> Response {
    ([(CONTENT_TYPE, "application/json")], text()).into_response()
}

/// One method of one path.
#[derive(Debug)]
pub(super) struct Operation<'a> {
    /// In small letters.
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) value: &'a Value,
}

impl Operation<'_> {
    /// Those of its parameters that stand in the query.
    pub(super) fn takes_query(&self) -> bool {
        let parameters = self.value["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        parameters.iter().any(|parameter| parameter["in"] == "query")
    }
}

pub(super) fn operations(document: &Value) -> impl Iterator<Item = Operation<'_>> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        METHODS
            .into_iter()
            .filter_map(move |method| Some(Operation { method, path, value: item.get(method)? }))
    })
}

fn make() -> Value {
    let (_, described) = super::described().split_for_parts();
    let mut document = serde_json::to_value(described).expect("a document of texts and numbers serializes");
    document["info"] = json!({
        "title": "Lockkeeper",
        "version": env!("CARGO_PKG_VERSION"),
        "description": ABOUT,
        "license": { "name": "MIT", "identifier": "MIT" },
    });
    // What problems are made of is named by no operation itself.
    let mut nested = Vec::new();
    ProblemDocument::schemas(&mut nested);
    for (name, schema) in nested {
        document["components"]["schemas"][name] =
            serde_json::to_value(schema).expect("a document of texts and numbers serializes");
    }
    let codes: Vec<&str> = CODES.iter().map(|known| known.code).collect();
    document["components"]["schemas"]["ProblemDocument"]["properties"]["code"]["enum"] = json!(codes);
    document["security"] = json!([{ "bearer": [] }]);
    document["components"]["securitySchemes"] = json!({
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "lockkeeper_KIND_RANDOM",
            "description": "An API key. The scopes that an operation names are the ones that the key must have.",
        },
    });
    document["components"]["headers"] = json!({
        "RequestId": { "description": "Leads to the log.", "schema": { "type": "string" } },
        "RetryAfter": { "description": "Seconds to wait, where that is of use.", "schema": { "type": "integer" } },
        "IdempotencyReplayed": {
            "description": "`true`: the request was carried out before, and this is the answer that was given.",
            "schema": { "type": "string", "enum": ["true"] },
        },
    });
    document["components"]["parameters"] = json!({
        "IdempotencyKey": {
            "name": "Idempotency-Key",
            "in": "header",
            "required": false,
            "description": "A string of the client's own for this request. Sent again within a day, the request gets the \
                            same answer and is not carried out again.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ !#-\\[\\]-~]+$" },
        },
    });
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (path, item) in paths {
        for method in METHODS {
            if let Some(operation) = item.get_mut(method).and_then(Value::as_object_mut) {
                complete(method, path, operation);
            }
        }
    }
    document
}

fn complete(method: &str, path: &str, operation: &mut Map<String, Value>) {
    operation.insert("operationId".to_owned(), name(method, path).into());
    let scopes: Vec<String> = operation.get("security").into_iter().flat_map(scopes).collect();
    if let [scope] = scopes.as_slice() {
        let said = operation.get("description").and_then(Value::as_str);
        let said = said.map_or_else(String::new, |said| format!("{said}\n\n"));
        let description = format!("{said}Takes a key with the scope `{scope}`.");
        operation.insert("description".to_owned(), description.into());
    }
    let named = WRITES.contains(&method) && !scopes.is_empty() && !QUESTIONS.contains(&path);
    if named {
        let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
        let known = parameters.as_array().is_some_and(|all| {
            let is_key = |one: &Value| {
                one["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case("idempotency-key"))
            };
            all.iter().any(is_key)
        });
        if let Some(all) = parameters.as_array_mut().filter(|_| !known) {
            all.push(json!({ "$ref": "#/components/parameters/IdempotencyKey" }));
        }
    }
    let responses = operation.get_mut("responses").and_then(Value::as_object_mut).into_iter().flatten();
    for (status, response) in responses {
        let Some(response) = response.as_object_mut() else { continue };
        let headers = response.entry("headers").or_insert_with(|| json!({}));
        headers["X-Request-Id"] = json!({ "$ref": "#/components/headers/RequestId" });
        if !status.starts_with('2') {
            headers["Retry-After"] = json!({ "$ref": "#/components/headers/RetryAfter" });
        } else if named {
            headers["Idempotency-Replayed"] = json!({ "$ref": "#/components/headers/IdempotencyReplayed" });
        }
    }
}

/// The scopes that one of its alternatives asks for.
fn scopes(security: &Value) -> Vec<String> {
    let alternatives = security.as_array().map(Vec::as_slice).unwrap_or_default();
    let named = alternatives.iter().filter_map(|alternative| alternative["bearer"].as_array());
    named.flatten().filter_map(|scope| scope.as_str().map(str::to_owned)).collect()
}

/// `get_certificates_certificate_chain`
fn name(method: &str, path: &str) -> String {
    let words =
        path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty() && *word != "v1");
    std::iter::once(method).chain(words).collect::<Vec<_>>().join("_")
}
