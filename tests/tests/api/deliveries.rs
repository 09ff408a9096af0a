//! The outbox at work: what a receiver gets, checks and answers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use issuance::ids::WebhookId;
use lockkeeper::challenge::resolver::{NameResolver, ResolverConfig};
use lockkeeper::clock::Pace;
use lockkeeper::store::leases::Replica;
use lockkeeper::webhooks::{Deliveries, DeliveryParts, DeliverySettings, Sender, Vault};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::sync::watch;
use uuid::Uuid;

use crate::outbox::tell;
use crate::world::{START, World, loopback, sealer};

const PATIENCE: Duration = Duration::from_secs(20);

/// One message, as it came.
#[derive(Debug, Clone)]
struct Heard {
    id: String,
    timestamp: String,
    signatures: String,
    body: String,
}

impl Heard {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// Somebody who is told, and answers what he is set to.
#[derive(Debug, Clone)]
struct Receiver {
    address: SocketAddr,
    answer: Arc<Mutex<StatusCode>>,
    heard: watch::Sender<Vec<Heard>>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let receiver = Self {
            address,
            answer: Arc::new(Mutex::new(StatusCode::OK)),
            heard: watch::Sender::new(Vec::new()),
        };
        let router = Router::new().fallback(hear).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    fn url(&self) -> String {
        format!("http://{}/hooks", self.address)
    }

    fn set(&self, answer: StatusCode) {
        *self.answer.lock().expect("set") = answer;
    }

    /// Waits until so much was heard.
    async fn heard(&self, count: usize) -> Vec<Heard> {
        let mut heard = self.heard.subscribe();
        let waited = tokio::time::timeout(PATIENCE, heard.wait_for(|heard| heard.len() >= count)).await;
        waited.expect("it is told in time").expect("it lives").clone()
    }
}

async fn hear(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).map_or("", |value| value.to_str().expect("ASCII")).to_owned();
    let heard = Heard {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signatures: header("webhook-signature"),
        body: String::from_utf8(body.to_vec()).expect("UTF-8"),
    };
    let answer = *receiver.answer.lock().expect("set");
    receiver.heard.send_modify(|all| all.push(heard));
    answer
}

fn deliveries(world: &World, number: u128) -> Deliveries {
    let nobody =
        ResolverConfig { servers: vec![SocketAddr::from(([127, 0, 0, 1], 9))], ..ResolverConfig::default() };
    let resolver = Arc::new(NameResolver::new(&nobody).expect("a resolver"));
    let parts = DeliveryParts {
        store: world.store.clone(),
        sender: Arc::new(Sender::new(resolver, Arc::new(loopback()), None).expect("a sender")),
        vault: Vault::new(sealer()),
        clock: world.clock.clone(),
        pace: Pace::REAL,
        replica: Replica(Uuid::from_u128(number)),
    };
    let (poll_interval, drain) = (Duration::from_millis(20), Duration::from_secs(5));
    Deliveries::start(parts, DeliverySettings { at_once: 16, poll_interval, drain })
}

/// Id and secret of a new one.
async fn webhook(world: &World, wanted: Value) -> (WebhookId, String) {
    let created = world.post_json("/v1/webhooks", wanted).await;
    assert_eq!(created.status, 201, "{}", created.json());
    let created = created.json();
    let text = |field: &str| created[field].as_str().expect(field).to_owned();
    (text("id").parse().expect("a webhook's"), text("secret"))
}

/// What the page tells a receiver to do, in a shell with OpenSSL.
fn signature(secret: &str, heard: &Heard) -> String {
    let page = include_str!("../../../deploy/webhooks.md");
    let (_, rest) = page.split_once("```sh\n# verify\n").expect("the page shows how");
    let (script, _) = rest.split_once("```").expect("an end");
    let done = std::process::Command::new("sh")
        .args(["-euc", script])
        .env("SECRET", secret)
        .env("ID", &heard.id)
        .env("TIMESTAMP", &heard.timestamp)
        .env("BODY", &heard.body)
        .output()
        .expect("a shell");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("text").trim().to_owned()
}

/// Waits until so many were delivered, and written down as such.
async fn delivered(world: &World, count: i64) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let sql = "select count(*) from webhook_deliveries where state = 'delivered'";
    while sqlx::query_scalar::<_, i64>(sql).fetch_one(&world.pool).await.expect("a count") < count {
        assert!(tokio::time::Instant::now() < deadline, "not delivered in time");
        tokio::task::yield_now().await;
    }
}

async fn settled(world: &World, id: WebhookId, outcome: &str) -> Value {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let attempts = world.get(&format!("/v1/webhooks/{id}/attempts")).await.json();
        if attempts["data"][0]["outcome"] == outcome {
            return attempts["data"][0].clone();
        }
        assert!(tokio::time::Instant::now() < deadline, "{attempts}");
        tokio::task::yield_now().await;
    }
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_receiver_checks_what_it_is_told_with_openssl(pool: PgPool) {
    let world = World::start(pool).await;
    let receiver = Receiver::start().await;
    let (id, secret) = webhook(&world, json!({ "url": receiver.url(), "kinds": ["certificate.*"] })).await;
    let outbox = deliveries(&world, 1);
    tell(&world.store, START, "headroom.low", "x", None).await;
    tell(&world.store, START, "certificate.issued", "crt", Some(1)).await;
    let heard = receiver.heard(1).await.remove(0);
    let told = heard.json();
    assert_eq!(
        (&told["type"], &told["data"]["subject"]),
        (&json!("certificate.issued"), &json!("crt")),
        "{told}"
    );
    assert_eq!((&told["timestamp"], &told["data"]["event_id"]), (&json!(START), &json!(heard.id)));
    assert_eq!(heard.timestamp, START.unix_seconds().to_string());
    assert_eq!(heard.signatures, signature(&secret, &heard));

    // For a day both secrets sign, and then the new one alone.
    let rotated = world.post_json(&format!("/v1/webhooks/{id}/rotate-secret"), json!({})).await.json();
    let newer = rotated["secret"].as_str().expect("a secret").to_owned();
    assert_ne!(newer, secret);
    tell(&world.store, START, "certificate.renewed", "crt", Some(1)).await;
    let heard = receiver.heard(2).await.remove(1);
    assert_eq!(heard.signatures, format!("{} {}", signature(&newer, &heard), signature(&secret, &heard)));
    // A lease that ends in a leap of the clock would have it sent again.
    delivered(&world, 2).await;
    world.clock.advance(Duration::from_hours(24));
    tell(&world.store, START.after(Duration::from_hours(24)), "certificate.failed", "crt", Some(1)).await;
    let heard = receiver.heard(3).await.remove(2);
    assert_eq!(heard.signatures, signature(&newer, &heard));
    outbox.stop().await;
    assert_eq!(receiver.heard(3).await.len(), 3, "nobody is told what he does not want");
    let shown = world.get(&format!("/v1/webhooks/{id}")).await.json().to_string()
        + &world.get("/v1/events").await.json().to_string();
    assert!(!shown.contains("whsec_"), "{shown}");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_failure_is_tried_again_by_the_schedule(pool: PgPool) {
    let world = World::start(pool).await;
    let receiver = Receiver::start().await;
    receiver.set(StatusCode::SERVICE_UNAVAILABLE);
    let (id, _) = webhook(&world, json!({ "url": receiver.url() })).await;
    let outbox = deliveries(&world, 1);
    tell(&world.store, START, "certificate.issued", "a", Some(1)).await;
    tell(&world.store, START, "certificate.renewed", "b", Some(1)).await;
    receiver.heard(1).await;
    let attempt = settled(&world, id, "refused").await;
    assert_eq!((&attempt["http_status"], &attempt["number"]), (&json!(503), &json!(1)), "{attempt}");
    let shown = world.get(&format!("/v1/webhooks/{id}")).await.json();
    assert_eq!((&shown["status"], &shown["pending"]), (&json!("failing"), &json!(2)), "{shown}");
    receiver.set(StatusCode::OK);
    // What is tried again waits five seconds, and up to a tenth more; the other one waits for it.
    world.clock.advance(Duration::from_millis(5_500));
    let heard = receiver.heard(3).await;
    let subjects: Vec<Value> = heard.iter().map(|one| one.json()["data"]["subject"].clone()).collect();
    assert_eq!(subjects, [json!("a"), json!("a"), json!("b")]);
    assert_eq!((&heard[0].id, &heard[0].body), (&heard[1].id, &heard[1].body), "the same message");
    outbox.stop().await;
    let shown = world.get(&format!("/v1/webhooks/{id}")).await.json();
    assert_eq!((&shown["status"], &shown["pending"]), (&json!("active"), &json!(0)), "{shown}");

    // Once more, by hand, with the same id.
    let delivery = attempt["delivery_id"].as_str().expect("an id");
    let path = format!("/v1/webhooks/{id}/deliveries/{delivery}/resend");
    assert_eq!(world.post_json(&path, json!({})).await.status, 202);
    let outbox = deliveries(&world, 1);
    assert_eq!(receiver.heard(4).await[3].id, heard[0].id);
    outbox.stop().await;
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_receiver_that_is_gone_is_told_nothing_more(pool: PgPool) {
    let world = World::start(pool).await;
    let receiver = Receiver::start().await;
    receiver.set(StatusCode::GONE);
    let (id, _) = webhook(&world, json!({ "url": receiver.url() })).await;
    let outbox = deliveries(&world, 1);
    let path = format!("/v1/webhooks/{id}");
    assert_eq!(world.post_json(&format!("{path}/test"), json!({})).await.status, 202);
    assert_eq!(receiver.heard(1).await[0].json()["type"], "webhook.test");
    settled(&world, id, "gone").await;
    let off = world.get(&path).await.json();
    assert_eq!((&off["status"], &off["disabled_reason"]), (&json!("disabled"), &json!("gone")), "{off}");
    let refused = world.post_json(&format!("{path}/test"), json!({})).await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (409, "conflict"));
    outbox.stop().await;
}

/// Two replicas at once: each event is told once, since nobody dies.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn two_replicas_share_the_work(pool: PgPool) {
    let world = World::start(pool).await;
    let receiver = Receiver::start().await;
    webhook(&world, json!({ "url": receiver.url() })).await;
    let replicas = [deliveries(&world, 1), deliveries(&world, 2)];
    for number in 0..60_u128 {
        tell(&world.store, START, "certificate.issued", &number.to_string(), Some(number % 7)).await;
    }
    let heard = receiver.heard(60).await;
    for replica in replicas {
        replica.stop().await;
    }
    assert_eq!(receiver.heard(60).await.len(), 60);
    for of in 0..7 {
        let numbers: Vec<u64> = heard
            .iter()
            .map(|one| {
                one.json()["data"]["subject"].as_str().expect("a text").parse::<u64>().expect("a number")
            })
            .filter(|number| *number % 7 == of)
            .collect();
        assert!(numbers.is_sorted(), "{numbers:?}");
    }
}
