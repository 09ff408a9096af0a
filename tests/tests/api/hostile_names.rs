//! Names that nobody should send, wherever a name may stand: each of it is a clear 4xx, stores nothing, and is not written down
//! as it came. And what is no object, or too much of it.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::Full;
use issuance::identifier::Hostname;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Map, Value, json};
use sqlx::PgPool;

use crate::hostile::{Log, stored};
use crate::world::{Answer, World};

/// Stands in each name, and must stand in no log.
const MARK: &str = "zq82mark";
const DRAWN: usize = 60;

/// One way to make a good name a bad one.
fn spoil(chance: &mut StdRng) -> String {
    let label = format!("{MARK}{}", chance.random_range(0..1_000));
    let drawn = |chance: &mut StdRng, of: &[&str]| (*of.choose(chance).expect("some")).to_owned();
    match chance.random_range(0..14) {
        // Control and format characters, wherever they stand.
        0 => {
            let mut name: Vec<char> = format!("{label}.com").chars().collect();
            let odd = ['\u{1}', '\n', '\r', '\t', '\u{7f}', '\u{85}', '\u{202e}', '\u{2028}', '\u{e0041}'];
            name.insert(chance.random_range(0..=name.len()), *odd.choose(chance).expect("some"));
            name.into_iter().collect()
        }
        1 => format!("{}.com", label.repeat(64 / label.len() + 1)),
        2 => format!("{}com", format!("{label}.").repeat(260 / label.len() + 1)),
        3 => format!("a.*.{label}.com"),
        4 => format!("{label}*.com"),
        5 => format!("*.*.{label}.com"),
        6 => {
            drawn(chance, &["192.0.2.1", "[2001:db8::1]", "0x7f.1", "127.1", "2130706433", "::1", "1.2.3.4."])
        }
        7 => drawn(chance, &["com", "co.uk", "*.com", "ac.jp", "*.co.uk"]),
        8 => format!("{label}..com"),
        9 => format!("-{label}.com"),
        10 => format!("{label}-.com"),
        11 => format!("xn--{label}\u{e4}.com"),
        12 => drawn(
            chance,
            &[
                "'; drop table hostnames; --.com",
                "{{7*7}}.com",
                "../../etc/passwd",
                "<script>.com",
                "%00.com",
                "a b.com",
            ],
        ),
        _ => format!("{label}.{}", drawn(chance, &["local", "invalid", "localhost", "onion", "home.arpa"])),
    }
}

/// Every place that takes a name: method, path with the name in `{}`, and body.
fn places(name: &str) -> Vec<(Method, String, Option<Value>)> {
    let path: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut places = vec![
        (
            Method::POST,
            "/v1/certificates".to_owned(),
            Some(json!({ "tenant": "t1", "names": ["good.com", name] })),
        ),
        (
            Method::PUT,
            "/v1/hostnames/good.com".to_owned(),
            Some(json!({ "tenant": "t1", "names_with": [name] })),
        ),
        (
            Method::POST,
            "/v1/headroom/forecast".to_owned(),
            Some(json!({ "sites": [{ "tenant": "t1", "names": [name] }] })),
        ),
    ];
    for (method, path, body) in [
        (Method::PUT, format!("/v1/hostnames/{path}"), Some(json!({ "tenant": "t1" }))),
        (Method::GET, format!("/v1/hostnames/{path}"), None),
        (Method::DELETE, format!("/v1/hostnames/{path}"), None),
        (Method::POST, format!("/v1/hostnames/{path}/check"), None),
        (Method::POST, format!("/v1/hostnames/{path}/resume"), None),
        (Method::POST, format!("/v1/hostnames/{path}/transfer"), Some(json!({ "tenant": "t1" }))),
        (Method::GET, format!("/v1/hostnames/{path}/transfer"), None),
        (Method::DELETE, format!("/v1/hostnames/{path}/transfer"), None),
        (Method::PUT, format!("/v1/hostnames/{path}/overrides/dns"), Some(json!({ "note": "it is right" }))),
        (Method::DELETE, format!("/v1/hostnames/{path}/overrides/dns"), None),
        (Method::POST, format!("/v1/paused-names/release?hostname={path}"), None),
    ] {
        places.push((method, path, body));
    }
    places
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn no_hostile_name_gets_in_anywhere(pool: PgPool) {
    let log = Log::default();
    let logging =
        tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(logging);
    let world = World::start(pool).await;
    world.post_json("/v1/tenants", json!({ "slug": "t1" })).await;
    let before = stored(&world).await;
    let mut chance = StdRng::seed_from_u64(20_261_128);
    let names: BTreeSet<String> = (0..DRAWN).map(|_| spoil(&mut chance)).collect();
    assert!(names.len() > DRAWN / 2, "{names:?}");
    for name in names {
        assert!(Hostname::parse(&name).is_err(), "{name:?} is a good one");
        for (method, path, body) in places(&name) {
            let what = format!("{name:?} at {method} {path:.80}");
            let key = uuid::Uuid::new_v4().to_string();
            let headers = [("idempotency-key", key.as_str())];
            let answer = world.json_as(&world.operator, method, &path, &headers, body).await;
            refused(&answer, &what);
        }
        // A batch and a file have a verdict for each.
        let items = json!({ "items": [{ "tenant": "t1", "names": [name] }] });
        let batch = world
            .json_as(
                &world.operator,
                Method::POST,
                "/v1/certificates/batch",
                &[("idempotency-key", "b")],
                Some(items),
            )
            .await;
        let report = batch.json();
        assert_eq!(
            (&report["created"], &report["data"][0]["status"]),
            (&json!(0), &json!(422)),
            "{name:?}: {report}"
        );
        world.execute("delete from idempotent_answers").await;
        let quoted = name.replace('"', "\"\"");
        let file = world.import(format!("t1,s1,\"{quoted}\",http-01,\n")).await;
        let taken = file.status.is_success() && file.json()["rows_created"] != 0;
        // A blank parts two names of a row, so each half is judged by itself.
        assert!(!taken || name.contains(char::is_whitespace), "{name:?}: {}", file.json());
    }
    let after = stored(&world).await;
    let but_imports = |rows: &[(String, i64)]| -> Vec<(String, i64)> {
        rows.iter().filter(|(table, _)| !table.starts_with("import") && table != "events").cloned().collect()
    };
    assert_eq!(but_imports(&after), but_imports(&before));
    let log = log.text();
    assert!(!log.is_empty() && !log.contains(MARK), "{:?}", log.lines().find(|line| line.contains(MARK)));
}

fn refused(answer: &Answer, what: &str) {
    assert!(answer.status.is_client_error(), "{what}: {} {:?}", answer.status, answer.body);
    assert!(answer.body.len() < 8_192, "{what}: an answer of {} bytes", answer.body.len());
    answer.problem();
}

/// What is a good name in another spelling is that name, and no other one.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_name_is_the_same_in_whatever_spelling(pool: PgPool) {
    let world = World::start(pool).await;
    let spellings =
        ["shop-ä.example.com", "SHOP-Ä.Example.COM", "shop-ä.example.com.", "xn--shop--kra.example.com"];
    let canonical: BTreeSet<String> =
        spellings.iter().map(|name| Hostname::parse(name).expect("a good one").to_string()).collect();
    assert_eq!(canonical.len(), 1, "{canonical:?}");
    for (nr, name) in spellings.iter().enumerate() {
        let path: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let put = world
            .json_as(
                &world.operator,
                Method::PUT,
                &format!("/v1/hostnames/{path}"),
                &[],
                Some(json!({ "tenant": "t1" })),
            )
            .await;
        let expected = if nr == 0 { StatusCode::ACCEPTED } else { StatusCode::OK };
        assert_eq!(put.status, expected, "{name}: {}", put.json());
        assert_eq!(put.json()["hostname"], json!(canonical.first()), "{name}");
    }
    assert_eq!((world.rows("hostnames").await, world.rows("certificates").await), (1, 1));
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_batch_has_one_to_two_hundred_items_and_each_of_them_is_an_object(pool: PgPool) {
    let world = World::start(pool).await;
    let before = stored(&world).await;
    let send = async |items: Value| {
        let key = uuid::Uuid::new_v4().to_string();
        let headers = [("idempotency-key", key.as_str())];
        world
            .json_as(
                &world.operator,
                Method::POST,
                "/v1/certificates/batch",
                &headers,
                Some(json!({ "items": items })),
            )
            .await
    };
    let item = |nr: usize| json!({ "tenant": "t1", "names": [format!("n{nr}.com")] });
    for count in [0, 201, 5_000] {
        let answer = send((0..count).map(item).collect()).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{count}");
        assert_eq!(answer.json()["errors"][0]["pointer"], "/items", "{count}: {}", answer.json());
    }
    for odd in [json!([]), json!(null), json!("a.com"), json!(["t1", null, ["a.com"]]), json!(7)] {
        let answer = send(json!([item(0), odd])).await;
        refused(&answer, &odd.to_string());
        assert_eq!(answer.json()["errors"][0]["pointer"], "#/items/1", "{odd}: {}", answer.json());
    }
    assert_eq!(stored(&world).await, before);
    let whole = send((0..200).map(item).collect()).await.json();
    assert_eq!((&whole["created"], &whole["refused"]), (&json!(200), &json!(0)));
}

/// Where the description says object, a list of the members' values is refused, however deep it stands.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_list_is_nowhere_taken_for_an_object(pool: PgPool) {
    let world = World::start(pool).await;
    let before = stored(&world).await;
    let document = world.description().await;
    let mut tried = 0;
    for operation in world.operations().await {
        let schema = &operation.value["requestBody"]["content"]["application/json"]["schema"];
        let mut found = Vec::new();
        objects(&document, schema, &mut Vec::new(), &mut found);
        for (path, members) in found {
            let answer = send(&world, &operation.method, &operation.address(), &nested(&path, members)).await;
            let what = format!("{} {} at {path:?}", operation.method, operation.path);
            assert!(answer.status.is_client_error(), "{what}: {}", answer.status);
            if !operation.path.starts_with("/acme-dns/") {
                assert_eq!(answer.problem(), "validation-failed", "{what}: {}", answer.json());
                let told = answer.json()["errors"][0]["detail"].to_string();
                assert!(told.contains("expected an object"), "{what}: {}", answer.json());
            }
            tried += 1;
        }
    }
    assert!(tried > 30, "{tried}");
    assert_eq!(stored(&world).await, before);
}

async fn send(world: &World, method: &Method, path: &str, body: &Value) -> Answer {
    let request = world
        .request(method.clone(), path, &world.operator)
        .header("content-type", "application/json")
        .header("idempotency-key", "lists")
        .header("if-match", "\"1\"");
    world.send(request.body(Full::from(Bytes::from(body.to_string()))).expect("a request")).await
}

/// A step on the way into a document: into a member, or into the items of a list.
#[derive(Debug, Clone)]
enum Step {
    Member(String),
    Item,
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let address = schema["$ref"].as_str().and_then(|address| address.strip_prefix('#'));
    let schema = address.and_then(|address| document.pointer(address)).unwrap_or(schema);
    let variants = schema["oneOf"].as_array().or_else(|| schema["allOf"].as_array());
    match variants.and_then(|variants| variants.iter().find(|one| one["type"] != "null")) {
        Some(variant) if variant != schema => resolved(document, variant),
        _ => schema,
    }
}

/// All places of objects with members of their own, and how many members each has.
fn objects(document: &Value, schema: &Value, path: &mut Vec<Step>, found: &mut Vec<(Vec<Step>, usize)>) {
    let schema = resolved(document, schema);
    if let Some(members) = schema["properties"].as_object() {
        found.push((path.clone(), members.len()));
        for (name, member) in members {
            path.push(Step::Member(name.clone()));
            objects(document, member, path, found);
            path.pop();
        }
    }
    if schema["items"].is_object() {
        path.push(Step::Item);
        objects(document, &schema["items"], path, found);
        path.pop();
    }
}

/// A document in which a list of as many nulls stands there.
fn nested(path: &[Step], members: usize) -> Value {
    path.iter().rev().fold(Value::Array(vec![Value::Null; members]), |inner, step| match step {
        Step::Item => json!([inner]),
        Step::Member(name) => Value::Object(Map::from_iter([(name.clone(), inner)])),
    })
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn bytes_that_are_no_text_are_refused_in_files_and_documents(pool: PgPool) {
    let world = World::start(pool).await;
    let before = stored(&world).await;
    for (path, kind, body) in [
        ("/v1/certificates", "application/json", b"{\"names\":[\"a\xff.com\"]}".to_vec()),
        (
            "/v1/certificates/batch",
            "application/json",
            b"{\"items\":[{\"names\":[\"\xc3\x28.com\"]}]}".to_vec(),
        ),
    ] {
        let request = world
            .request(Method::POST, path, &world.operator)
            .header("content-type", kind)
            .header("idempotency-key", "bytes");
        let answer = world.send(request.body(Full::from(Bytes::from(body))).expect("a request")).await;
        refused(&answer, path);
    }
    // A file has a verdict for each of its rows.
    let file = world.import(b"t1,s1,a\xff.com,http-01,\n").await.json();
    assert_eq!(
        (&file["rows_created"], &file["refused"][0]["code"]),
        (&json!(0), &json!("not_utf8")),
        "{file}"
    );
    assert_eq!(stored(&world).await, before);
}
