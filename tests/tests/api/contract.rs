//! What holds for every operation: it is described as it is, asks for the key that it says, and refuses alike.

use std::path::{Path, PathBuf};

use http::{Method, StatusCode};
use http_body_util::Full;
use lockkeeper::store::Store;
use serde_json::Value;
use sqlx::PgPool;

use crate::world::{World, insert_account};

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn the_description_is_the_one_that_is_kept(pool: PgPool) {
    let world = World::start(pool).await;
    let answer = world.get_as("none", "/v1/openapi.json").await;
    assert_eq!((answer.status, answer.content_type()), (StatusCode::OK, "application/json"));
    let path = root().join("deploy/openapi.json");
    if std::env::var_os("RENEW").is_some() {
        std::fs::write(&path, &answer.body).expect("written");
    }
    let kept = std::fs::read(&path).unwrap_or_default();
    assert!(
        answer.body == kept,
        "the API and deploy/openapi.json differ. If the change is meant: make openapi"
    );
    let document = answer.json();
    assert!(
        document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")),
        "{}",
        document["openapi"]
    );
    let page = world.get_as("none", "/docs").await;
    let html = String::from_utf8(page.body.to_vec()).expect("UTF-8");
    assert_eq!(page.content_type(), "text/html; charset=utf-8");
    assert!(
        !html.contains("<script") && !html.contains("http://") && !html.contains("src="),
        "it loads nothing"
    );
    for operation in world.operations().await {
        assert!(html.contains(&format!("{} {}", operation.method, operation.path)), "{}", operation.path);
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Routes come with their description, or not at all: there is no other way to add one.
#[test]
fn no_route_goes_without_a_description() {
    fn look(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).expect("the sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                look(&path, found);
            } else {
                let text = std::fs::read_to_string(&path).expect("text");
                let plain = [".route(", ".nest(", ".route_service(", ".nest_service("];
                found.extend(
                    plain
                        .iter()
                        .filter(|call| text.contains(**call))
                        .map(|call| format!("{}: {call}", path.display())),
                );
            }
        }
    }
    let mut found = Vec::new();
    look(&root().join("orchestrator/service/src/api"), &mut found);
    assert_eq!(found, Vec::<String>::new(), "use routes!, which takes the description along");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_is_described_is_there_and_nothing_else(pool: PgPool) {
    let world = World::start(pool).await;
    let operations = world.operations().await;
    let mut names: Vec<&str> =
        operations.iter().map(|operation| operation.value["operationId"].as_str().expect("a name")).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all, "each has a name of its own");
    for operation in &operations {
        let what = format!("{} {}", operation.method, operation.path);
        assert!(
            operation.value["summary"].as_str().is_some_and(|summary| !summary.is_empty()),
            "{what}: no summary"
        );
        let request = world.request(operation.method.clone(), &operation.address(), "none");
        let answer = world.send(request.body(Full::default()).expect("a request")).await;
        assert_ne!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{what}");
        if operation.scope.is_some() {
            assert_eq!(
                (answer.status, answer.problem().as_str()),
                (StatusCode::UNAUTHORIZED, "unauthenticated"),
                "{what}"
            );
            assert!(answer.headers.contains_key("www-authenticate"), "{what}");
        }
        // A method that is not described is not there.
        let described = |method: &Method| {
            operations.iter().any(|other| other.path == operation.path && other.method == *method)
        };
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS]
        {
            if described(&method) {
                continue;
            }
            let request = world.request(method.clone(), &operation.address(), &world.operator);
            let answer = world.send(request.body(Full::default()).expect("a request")).await;
            let what = format!("{method} {}", operation.path);
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{what}");
            assert_eq!(answer.problem(), "method-not-allowed", "{what}");
            let allowed = answer.headers["allow"].to_str().expect("ASCII").to_owned();
            assert!(allowed.contains(operation.method.as_str()), "{what}: {allowed}");
        }
    }
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn each_operation_asks_for_the_scope_that_it_names(pool: PgPool) {
    let world = World::start(pool).await;
    let mut asked = 0;
    for operation in world.operations().await {
        let Some(scope) = &operation.scope else { continue };
        let what = format!("{} {}", operation.method, operation.path);
        sqlx::query("update api_keys set scopes = array_remove($1, $2)")
            .bind(lockkeeper::store::scope::Scope::ALL.map(|one| one.as_str().to_owned()).to_vec())
            .bind(scope)
            .execute(&world.pool)
            .await
            .expect("set");
        let mut request = world.request(operation.method.clone(), &operation.address(), &world.operator);
        if let Some(kind) = operation.body_kinds().first() {
            request = request.header("content-type", kind);
        }
        let answer = world.send(request.body(Full::default()).expect("a request")).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::FORBIDDEN, "forbidden-scope"),
            "{what}"
        );
        let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert!(detail.contains(scope.as_str()), "{what}: {detail}");
        asked += 1;
    }
    assert!(asked > 20, "{asked}");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_parameter_that_is_not_known_is_refused_everywhere(pool: PgPool) {
    let world = World::start(pool).await;
    for operation in world.operations().await {
        let what = format!("{} {}", operation.method, operation.path);
        // Caddy sends what it likes with its questions.
        if operation.path.starts_with("/v1/caddy/") {
            continue;
        }
        let address = operation.address();
        let separator = if address.contains('?') { '&' } else { '?' };
        let address = format!("{address}{separator}nonsense=1");
        let mut request = world.request(operation.method.clone(), &address, &world.operator);
        if let Some(kind) = operation.body_kinds().first() {
            request = request.header("content-type", kind);
        }
        let answer = world.send(request.body(Full::default()).expect("a request")).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::BAD_REQUEST, "validation-failed"),
            "{what}"
        );
    }
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn every_operation_says_that_the_database_is_away(pool: PgPool) {
    let account = insert_account(&pool).await;
    let store = Store::from_pool(pool.clone());
    let viewer = lockkeeper::store::viewer::Viewer::Operator;
    let token = lockkeeper::store::api_keys::Token::generate(viewer);
    let world = World::serve(pool, store.clone(), account, token.reveal().to_owned()).await;
    store.close().await;
    for operation in world.operations().await {
        if operation.scope.is_none() {
            continue;
        }
        let what = format!("{} {}", operation.method, operation.path);
        let request = world.request(operation.method.clone(), &operation.address(), &world.operator);
        let answer = world.send(request.body(Full::default()).expect("a request")).await;
        let code = answer.problem();
        assert_eq!(
            (answer.status, code.as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "database-unavailable"),
            "{what}"
        );
        assert!(answer.headers.contains_key("retry-after"), "{what}");
    }
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_head_is_a_get_without_its_body(pool: PgPool) {
    let world = World::start(pool).await;
    for path in ["/v1/certificates", "/livez", "/docs", "/v1/openapi.json"] {
        let get = world.get(path).await;
        let request = world.request(Method::HEAD, path, &world.operator).body(Full::default());
        let head = world.send(request.expect("a request")).await;
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        assert_eq!(head.headers.get("content-type"), get.headers.get("content-type"), "{path}");
    }
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn whatever_a_client_accepts_it_is_told_in_json_what_went_wrong(pool: PgPool) {
    let world = World::start(pool).await;
    for accept in ["text/html", "application/xml;q=0.9", "*/*", ""] {
        let request =
            world.request(Method::GET, "/v1/certificates/crt_x", &world.operator).header("accept", accept);
        let answer = world.send(request.body(Full::default()).expect("a request")).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::NOT_FOUND, "not-found"),
            "{accept}"
        );
    }
}

/// Every reference leads somewhere, so that generators of clients can follow it.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn every_reference_of_the_description_leads_somewhere(pool: PgPool) {
    fn look(value: &Value, document: &Value, seen: &mut usize) {
        if let Some(address) = value["$ref"].as_str() {
            *seen += 1;
            let found = document.pointer(address.strip_prefix('#').expect("a reference within"));
            assert!(found.is_some(), "{address} leads nowhere");
        }
        match value {
            Value::Array(all) => all.iter().for_each(|one| look(one, document, seen)),
            Value::Object(all) => all.values().for_each(|one| look(one, document, seen)),
            _ => {}
        }
    }
    let world = World::start(pool).await;
    let document = world.description().await;
    let mut seen = 0;
    look(&document, &document, &mut seen);
    assert!(seen > 50, "{seen}");
}
