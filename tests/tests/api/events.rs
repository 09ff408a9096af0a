//! Events as they are listed and followed.

use std::time::Duration;

use issuance::ids::TenantId;
use issuance::time::Clock as _;
use lockkeeper::store::events::{Actor, Event};
use lockkeeper::store::viewer::Viewer;
use lockkeeper::store::work::Work;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;

use crate::outbox::all_is_told;
use crate::world::{START, World};

const PATIENCE: Duration = Duration::from_secs(20);

async fn tell(world: &World, tenant: Option<TenantId>, kind: &'static str, subject: &str) {
    // Apart from the others in its id.
    world.clock.advance(Duration::from_millis(1));
    let at = world.clock.now();
    let mut work =
        Work::begin(&world.store, Viewer::Operator, Actor::service("test"), at).await.expect("begun");
    let event = Event { kind, tenant, certificate: None, subject: subject.to_owned(), data: json!({}) };
    work.tell(event).await.expect("told");
    work.commit().await.expect("committed");
}

/// The subjects of a list.
fn subjects(listing: &Value) -> Vec<&str> {
    let data = listing["data"].as_array().unwrap_or_else(|| panic!("{listing}"));
    data.iter().map(|event| event["subject"].as_str().expect("a subject")).collect()
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn events_are_listed_by_pages_and_filters_and_each_tenant_sees_its_own(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("t1,s1,one.com,http-01,\nt2,s2,two.com,http-01,\n").await;
    // What the import has told is no matter here.
    world.execute("delete from events").await;
    let (one, two) = (world.tenant("t1").await, world.tenant("t2").await);
    for (tenant, kind, subject) in [
        (Some(one), "certificate.issued", "a"),
        (Some(two), "certificate.issued", "b"),
        (Some(one), "hostname.ready", "one.com"),
        (None, "headroom.low", "new_orders_per_account"),
        (Some(one), "certificate.renewed", "a"),
    ] {
        tell(&world, tenant, kind, subject).await;
    }
    let all = world.get("/v1/events?limit=2").await.json();
    assert_eq!(subjects(&all), ["a", "new_orders_per_account"], "the latest first");
    let cursor = all["next_cursor"].as_str().expect("more");
    let rest = world.get(&format!("/v1/events?limit=100&cursor={cursor}")).await.json();
    assert_eq!(subjects(&rest), ["one.com", "b", "a"]);
    for (query, found) in [
        ("kind=certificate.*", vec!["a", "b", "a"]),
        ("kind=certificate.renewed,headroom.low", vec!["a", "new_orders_per_account"]),
        ("subject=one.com", vec!["one.com"]),
        ("tenant=t2", vec!["b"]),
        ("tenant=nobody", vec![]),
        ("since=2126-01-01T00:00:00Z", vec![]),
    ] {
        assert_eq!(subjects(&world.get(&format!("/v1/events?{query}")).await.json()), found, "{query}");
    }
    for query in
        ["kind=*", "kind=certificate", "kind=a.b;c", "sort=x", "certificate=crt_x", "limit=0", "after=x"]
    {
        let answer = world.get(&format!("/v1/events?{query}")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (400, "validation-failed"),
            "{query}"
        );
    }
    let token = world.token_of("t1").await;
    let own = world.get_as(&token, "/v1/events").await.json();
    assert_eq!(subjects(&own), ["a", "one.com", "a"]);
    let first =
        world.get("/v1/events?tenant=t2").await.json()["data"][0]["id"].as_str().expect("an id").to_owned();
    for path in [format!("/v1/events/{first}"), format!("/v1/events?after={first}")] {
        let answer = world.get_as(&token, &path).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (404, "not-found"), "{path}");
    }
    all_is_told(&world.pool).await;
    let after = world.get(&format!("/v1/events?after={first}&limit=2")).await.json();
    assert_eq!(
        (subjects(&after), &after["has_more"]),
        (vec!["one.com", "new_orders_per_account"], &json!(true))
    );
}

/// A tenant is told of its own people by name, and of the provider's that it was they.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn the_audit_shows_whom_it_may(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("t1,s1,one.com,http-01,\n").await;
    let (tenant, token) = (world.tenant("t1").await, world.token_of("t1").await);
    let wanted = json!({ "url": "https://a.com/", "tenant_id": tenant });
    assert_eq!(world.post_json("/v1/webhooks", wanted).await.status, 201);
    world.clock.advance(Duration::from_millis(1));
    let wanted = Some(json!({ "url": "https://b.com/" }));
    assert_eq!(world.json_as(&token, http::Method::POST, "/v1/webhooks", &[], wanted).await.status, 201);
    let seen = world.get_as(&token, "/v1/events?kind=webhook.created").await.json();
    let actor = |at: usize| &seen["data"][at]["actor"];
    assert_eq!(
        (&actor(0)["kind"], &actor(0)["name"], &actor(0)["address"]),
        (&json!("key"), &json!("t1"), &json!("127.0.0.1"))
    );
    let hidden = json!({ "kind": "operator", "name": "operator", "key_id": null, "address": null });
    assert_eq!((actor(1), &seen["data"][1]["request_id"]), (&hidden, &Value::Null));
    let all = world.get("/v1/events?kind=webhook.created").await.json();
    assert_eq!(all["data"][1]["actor"]["name"], "test");
    let id = all["data"][1]["id"].as_str().expect("an id");
    assert_eq!(world.get(&format!("/v1/events/{id}")).await.json(), all["data"][1]);
}

/// Lines of a stream, as they come.
struct Stream {
    lines: Lines<BufReader<TcpStream>>,
    head: Vec<String>,
}

impl Stream {
    async fn open(world: &World, token: &str, query: &str, last: Option<&str>) -> Self {
        let host = world.base.strip_prefix("http://").expect("plain");
        let mut stream = TcpStream::connect(host).await.expect("connected");
        let last = last.map_or_else(String::new, |id| format!("last-event-id: {id}\r\n"));
        let request = format!(
            "GET /v1/events/stream{query} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n{last}\
             accept: text/event-stream\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("asked");
        let mut opened = Self { lines: BufReader::new(stream).lines(), head: Vec::new() };
        loop {
            let line = opened.line().await.expect("a head");
            if line.is_empty() {
                return opened;
            }
            opened.head.push(line.to_lowercase());
        }
    }

    async fn line(&mut self) -> Option<String> {
        let line =
            tokio::time::timeout(PATIENCE, self.lines.next_line()).await.expect("it says something in time");
        line.expect("read").map(|line| line.trim_end().to_owned())
    }

    /// Id, kind and data of the next event.
    async fn event(&mut self) -> Option<(String, String, Value)> {
        let (mut id, mut kind) = (String::new(), String::new());
        loop {
            let line = self.line().await?;
            if let Some(text) = line.strip_prefix("id: ") {
                text.clone_into(&mut id);
            } else if let Some(text) = line.strip_prefix("event: ") {
                text.clone_into(&mut kind);
            } else if let Some(text) = line.strip_prefix("data: ") {
                return Some((id, kind, serde_json::from_str(text).expect("JSON")));
            }
        }
    }

    async fn subject(&mut self) -> String {
        let (_, _, data) = self.event().await.expect("an event");
        data["subject"].as_str().expect("a subject").to_owned()
    }
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn whoever_follows_hears_what_comes_and_goes_on_where_he_was(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("t1,s1,one.com,http-01,\n").await;
    let (tenant, token) = (world.tenant("t1").await, world.token_of("t1").await);
    tell(&world, Some(tenant), "certificate.issued", "before").await;
    all_is_told(&world.pool).await;
    let mut all = Stream::open(&world, &world.operator, "", None).await;
    let mut own = Stream::open(&world, &token, "?kind=certificate.*", None).await;
    assert!(own.head.iter().any(|line| line == "content-type: text/event-stream"), "{:?}", own.head);
    assert!(own.head.iter().any(|line| line == "x-accel-buffering: no"), "{:?}", own.head);
    for (of, kind, subject) in [
        (None, "headroom.low", "limit"),
        (Some(tenant), "certificate.issued", "first"),
        (Some(tenant), "hostname.ready", "one.com"),
        (Some(tenant), "certificate.renewed", "second"),
    ] {
        tell(&world, of, kind, subject).await;
    }
    let (id, kind, data) = own.event().await.expect("an event");
    assert_eq!(
        (kind.as_str(), &data["id"], &data["subject"]),
        ("certificate.issued", &json!(id), &json!("first"))
    );
    assert_eq!(own.subject().await, "second");
    assert_eq!(all.subject().await, "limit");
    drop(own);
    tell(&world, Some(tenant), "certificate.failed", "third").await;
    let mut back = Stream::open(&world, &token, "?kind=certificate.*", Some(&id)).await;
    assert_eq!((back.subject().await, back.subject().await), ("second".to_owned(), "third".to_owned()));
    let since = format!("?since={START}&subject=before");
    assert_eq!(Stream::open(&world, &token, &since, None).await.subject().await, "before");

    for (last, code) in [("evt_x", "400"), ("evt_00000000000000000000000000", "404")] {
        let refused = Stream::open(&world, &token, "", Some(last)).await;
        assert!(refused.head[0].contains(code), "{:?}", refused.head);
    }
    // When the service stops, streams end, and cleanly: what was under way is whole.
    world.stop.cancel();
    while let Some(line) = all.line().await {
        if line == "0" {
            return;
        }
    }
    panic!("the stream broke off");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_key_follows_so_often_and_no_more(pool: PgPool) {
    let world = World::start(pool).await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        let stream = Stream::open(&world, &world.operator, "", None).await;
        assert!(stream.head[0].contains("200"), "{:?}", stream.head);
        streams.push(stream);
    }
    let refused = Stream::open(&world, &world.operator, "", None).await;
    assert!(refused.head[0].contains("429"), "{:?}", refused.head);
    streams.pop();
    // The seat is free when the service has noticed that nobody listens.
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        tell(&world, None, "headroom.low", "x").await;
        let again = Stream::open(&world, &world.operator, "", None).await;
        if again.head[0].contains("200") {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "the seat is not given back");
    }
}
