//! `GET /docs`: the description of the API as a page for people. One file without scripts: nothing is loaded from
//! elsewhere, and nothing runs at the origin where keys are used.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::document::{self, Operation};
use super::problem::codes::CODES;

static PAGE: LazyLock<String> = LazyLock::new(|| page(document::document()));
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
code,pre{font-family:monospace;background:#f4f4f4}pre{padding:.5rem;overflow:auto}\
section{border-top:1px solid #ccc}table{border-collapse:collapse}td,th{text-align:left;padding:.1rem .8rem .1rem 0;vertical-align:top}";

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(read))
}

/// The description as a page.
#[utoipa::path(
    get,
    path = "/docs",
    tag = "service",
    security(()),
    responses((status = 200, description = "HTML without scripts", body = String, content_type = "text/html"))
)]
pub(super) async fn read() -> Response {
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY)];
    (headers, PAGE.as_str()).into_response()
}

fn page(document: &Value) -> String {
    let mut all: Vec<Operation<'_>> = document::operations(document).collect();
    all.sort_by_key(|operation| tag(operation));
    let mut html = String::from("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">");
    let info = &document["info"];
    let (title, about) = (text(&info["title"]), text(&info["description"]));
    // Writing to a string does not fail.
    let _ = write!(html, "<title>{title}</title><style>{STYLE}</style><h1>{title}</h1><p>{about}</p>");
    html.push_str("<p>For programs: <a href=\"/v1/openapi.json\">openapi.json</a></p>");
    let mut last = "";
    for operation in &all {
        let tag = tag(operation);
        if tag != last {
            let _ = write!(html, "<h2 id=\"{0}\">{0}</h2>", escape(tag));
            last = tag;
        }
        show(&mut html, operation);
    }
    html.push_str("<h2 id=\"problems\">Problems</h2><table>");
    for known in CODES {
        let (code, meaning) = (escape(known.code), escape(known.meaning));
        let _ = write!(
            html,
            "<tr id=\"problem-{code}\"><td><code>{code}</code><td>{}<td>{meaning}",
            known.statuses
        );
    }
    html.push_str("</table><h2 id=\"schemas\">Schemas</h2>");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let schema = serde_json::to_string_pretty(schema).unwrap_or_default();
        let _ = write!(
            html,
            "<section id=\"schema-{0}\"><h3>{0}</h3><pre>{1}</pre></section>",
            escape(name),
            escape(&schema)
        );
    }
    html
}

fn tag<'a>(operation: &Operation<'a>) -> &'a str {
    operation.value["tags"][0].as_str().unwrap_or("other")
}

fn show(html: &mut String, operation: &Operation<'_>) {
    let value = operation.value;
    let (id, summary) = (text(&value["operationId"]), text(&value["summary"]));
    let (method, path) = (operation.method.to_uppercase(), escape(operation.path));
    let _ = write!(html, "<section id=\"{id}\"><h3><code>{method} {path}</code></h3><p>{summary}</p>");
    for paragraph in value["description"].as_str().unwrap_or_default().split("\n\n") {
        let _ = write!(html, "<p>{}</p>", escape(paragraph));
    }
    html.push_str("<table>");
    for parameter in value["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or("Idempotency-Key");
        let place = parameter["in"].as_str().unwrap_or("header");
        let about = text(&parameter["description"]);
        let _ = write!(html, "<tr><td><code>{}</code><td>{}<td>{about}", escape(name), escape(place));
    }
    for (kind, body) in value["requestBody"]["content"].as_object().into_iter().flatten() {
        let _ = write!(html, "<tr><td>body<td>{}<td>{}", escape(kind), schema(&body["schema"]));
    }
    for (status, response) in value["responses"].as_object().into_iter().flatten() {
        let body = response["content"].as_object().and_then(|kinds| kinds.values().next());
        let body = body.map(|body| schema(&body["schema"])).unwrap_or_default();
        let _ =
            write!(html, "<tr><td><b>{}</b><td>{body}<td>{}", escape(status), text(&response["description"]));
    }
    html.push_str("</table></section>");
}

/// A link, where it has a name.
fn schema(schema: &Value) -> String {
    let name = schema["$ref"].as_str().and_then(|address| address.rsplit('/').next()).map(escape);
    name.map_or_else(String::new, |name| format!("<a href=\"#schema-{name}\">{name}</a>"))
}

fn text(value: &Value) -> String {
    escape(value.as_str().unwrap_or_default())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
