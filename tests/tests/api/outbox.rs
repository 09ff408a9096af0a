//! The outbox in the database: at least once, in order for each certificate, whoever dies, and nothing passed over.

use std::collections::BTreeMap;
use std::time::Duration;

use issuance::ids::{CertificateId, EventId, WebhookId};
use issuance::time::{Fraction, Timestamp};
use issuance::webhook::{DISABLED_AFTER, Fate, Outcome, judge};
use lockkeeper::store::Store;
use lockkeeper::store::events::{Actor, Event};
use lockkeeper::store::events_view::{self, EventFilter};
use lockkeeper::store::leases::Replica;
use lockkeeper::store::viewer::Viewer;
use lockkeeper::store::webhook_deliveries::{AttemptEnd, ClaimedDelivery};
use lockkeeper::store::work::Work;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::world::{START, World};

const LEASE: Duration = Duration::from_mins(2);

pub(crate) async fn webhook(world: &World, wanted: Value) -> WebhookId {
    let created = world.post_json("/v1/webhooks", wanted).await;
    assert_eq!(created.status, 201, "{}", created.json());
    created.json()["id"].as_str().expect("an id").parse().expect("a webhook's")
}

/// The operator's, told of everything.
pub(crate) async fn any_webhook(world: &World) -> WebhookId {
    webhook(world, json!({ "url": "http://127.0.0.1:9/hooks" })).await
}

pub(crate) async fn tell(store: &Store, at: Timestamp, kind: &'static str, subject: &str, of: Option<u128>) {
    let mut work = Work::begin(store, Viewer::Operator, Actor::service("test"), at).await.expect("begun");
    let certificate = of.map(|number| CertificateId(Uuid::from_u128(number)));
    let event = Event { kind, tenant: None, certificate, subject: subject.to_owned(), data: json!({}) };
    work.tell(event).await.expect("told");
    work.commit().await.expect("committed");
}

/// Waits until nothing that was told is held back by a transaction under way: other tests have theirs in the same cluster.
pub(crate) async fn all_is_told(pool: &PgPool) {
    let held = "select exists (select from events where xid >= pg_snapshot_xmin(pg_current_snapshot())
        and xid < pg_snapshot_xmax(pg_current_snapshot()))";
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while sqlx::query_scalar::<_, bool>(held).fetch_one(pool).await.expect("known") {
        assert!(tokio::time::Instant::now() < deadline, "a transaction stays open");
        tokio::task::yield_now().await;
    }
}

/// Hands on everything that was told. Returns how many deliveries came of it.
async fn hand_on(world: &World, now: Timestamp) -> u64 {
    all_is_told(&world.pool).await;
    world.store.fan_out_events(now, 500).await.expect("handed on").deliveries
}

fn replica(number: u128) -> Replica {
    Replica(Uuid::from_u128(number))
}

async fn claim(store: &Store, by: Replica, now: Timestamp, limit: u16) -> Vec<ClaimedDelivery> {
    store.claim_deliveries(by, now, now.after(LEASE), limit, 8).await.expect("claimed")
}

fn ended(claim: &ClaimedDelivery, outcome: Outcome, now: Timestamp) -> AttemptEnd {
    let verdict = judge(outcome, claim.attempts + 1, claim.failing_since, None, now, Fraction::ZERO);
    AttemptEnd { outcome, status: None, detail: None, took: Duration::from_millis(3), verdict }
}

async fn end(store: &Store, claim: &ClaimedDelivery, outcome: Outcome, now: Timestamp) -> bool {
    store.end_delivery(claim, &ended(claim, outcome, now), now).await.expect("written")
}

async fn counted(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.expect("a count")
}

/// Two replicas, of which one or the other dies before it has sent, or after it has sent and before it has written that down;
/// and a receiver that fails now and then. Whatever is drawn: what it hears first of each event comes in the order in which
/// it was told, for each certificate, and nothing is missing in the end.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_receiver_hears_of_each_certificate_in_order_whoever_dies(pool: PgPool) {
    const EVENTS: u128 = 80;
    const CERTIFICATES: u128 = 6;
    let world = World::start(pool).await;
    any_webhook(&world).await;
    // `make` hands on an empty one where none was given.
    let seed = std::env::var("SEED").ok().filter(|text| !text.is_empty());
    let seed = seed.map_or(7, |text| text.parse().expect("a number"));
    let mut chance = StdRng::seed_from_u64(seed);
    let (mut now, mut told) = (START, 0);
    let mut heard: Vec<(u128, EventId)> = Vec::new();
    let mut sent_twice = 0;
    loop {
        for _ in 0..chance.random_range(0..4).min(EVENTS - told) {
            let of = chance.random_range(0..CERTIFICATES);
            // Some of what is told is about no certificate, and goes by its subject.
            let (certificate, subject) = if of == 0 { (None, "limit") } else { (Some(of), "certificate") };
            tell(&world.store, now, "certificate.issued", subject, certificate).await;
            told += 1;
        }
        world.store.fan_out_events(now, 7).await.expect("handed on");
        let by = replica(chance.random_range(1..3));
        for claim in claim(&world.store, by, now, chance.random_range(1..5)).await {
            let of = claim.event.certificate.map_or(0, |certificate| certificate.0.as_u128());
            match chance.random_range(0..10) {
                // It dies before it has sent.
                0 => {}
                // It dies when it has sent.
                1 => {
                    heard.push((of, claim.event.id));
                    sent_twice += 1;
                }
                2 | 3 => assert!(end(&world.store, &claim, Outcome::Refused, now).await),
                _ => {
                    heard.push((of, claim.event.id));
                    assert!(end(&world.store, &claim, Outcome::Delivered, now).await);
                }
            }
        }
        let Some(next) = world.store.next_delivery_at().await.expect("known") else {
            let handed = "select count(*) from webhook_deliveries";
            if told == EVENTS && counted(&world.pool, handed).await == i64::try_from(EVENTS).expect("few") {
                break;
            }
            continue;
        };
        // A little later, or when the next one is due: leases run out, and failures are tried again.
        now = now.after(Duration::from_secs(chance.random_range(1..30)));
        if chance.random_bool(0.3) {
            now = now.max(next);
        }
    }
    let order: Vec<EventId> = sqlx::query_scalar::<_, Uuid>(
        "select event_id from events where kind = 'certificate.issued' order by xid, seq",
    )
    .fetch_all(&world.pool)
    .await
    .expect("events")
    .into_iter()
    .map(EventId)
    .collect();
    let place = |event: &EventId| order.iter().position(|told| told == event).expect("it was told");
    let mut firsts: BTreeMap<u128, Vec<usize>> = BTreeMap::new();
    for (of, event) in &heard {
        let list = firsts.entry(*of).or_default();
        if !list.contains(&place(event)) {
            list.push(place(event));
        }
    }
    for (of, places) in &firsts {
        assert!(places.is_sorted(), "of {of} it heard {places:?}, with SEED={seed}");
    }
    assert_eq!(
        firsts.values().map(Vec::len).sum::<usize>(),
        order.len(),
        "nothing is missing, with SEED={seed}"
    );
    assert!(
        heard.len() <= order.len() + sent_twice,
        "nothing is sent again without a cause, with SEED={seed}"
    );
    assert_eq!(
        counted(&world.pool, "select count(*) from webhook_deliveries where state <> 'delivered'").await,
        0
    );
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_fails_holds_its_own_certificate_back_and_no_other(pool: PgPool) {
    let world = World::start(pool).await;
    any_webhook(&world).await;
    for (subject, of) in [("a1", 1), ("a2", 1), ("b1", 2), ("a3", 1), ("b2", 2)] {
        tell(&world.store, START, "certificate.issued", subject, Some(of)).await;
    }
    hand_on(&world, START).await;
    let subjects = |claims: &[ClaimedDelivery]| {
        let mut subjects: Vec<String> = claims.iter().map(|claim| claim.event.subject.to_string()).collect();
        subjects.sort();
        subjects
    };
    let first = claim(&world.store, replica(1), START, 10).await;
    assert_eq!(subjects(&first), ["a1", "b1"]);
    assert!(claim(&world.store, replica(2), START, 10).await.is_empty(), "they are in hand");
    for claim in &first {
        let outcome = if &*claim.event.subject == "a1" { Outcome::Timeout } else { Outcome::Delivered };
        assert!(end(&world.store, claim, outcome, START).await);
    }
    let second = claim(&world.store, replica(2), START, 10).await;
    assert_eq!(subjects(&second), ["b2"]);
    assert!(end(&world.store, &second[0], Outcome::Delivered, START).await);
    let again = START.after(Duration::from_secs(5));
    assert!(claim(&world.store, replica(2), again.before(Duration::from_millis(1)), 10).await.is_empty());
    for subject in ["a1", "a2", "a3"] {
        let next = claim(&world.store, replica(2), again, 10).await;
        assert_eq!(subjects(&next), [subject]);
        assert!(end(&world.store, &next[0], Outcome::Delivered, again).await);
    }
}

/// What is given up after its last attempt lets the next one go.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_is_given_up_holds_nothing_back_and_can_be_had_again(pool: PgPool) {
    let world = World::start(pool).await;
    let id = any_webhook(&world).await;
    tell(&world.store, START, "certificate.issued", "a1", Some(1)).await;
    tell(&world.store, START, "certificate.renewed", "a2", Some(1)).await;
    hand_on(&world, START).await;
    let mut now = START;
    let mut attempts = 0;
    loop {
        let claims = claim(&world.store, replica(1), now, 10).await;
        let [claim] = &claims[..] else { panic!("one at a time: {claims:?}") };
        if &*claim.event.subject == "a2" {
            assert!(end(&world.store, claim, Outcome::Delivered, now).await);
            break;
        }
        attempts += 1;
        let fate = ended(claim, Outcome::Refused, now).verdict.fate;
        assert!(end(&world.store, claim, Outcome::Refused, now).await);
        now = if let Fate::Again(at) = fate { at } else { now.after(Duration::from_secs(1)) };
    }
    assert_eq!(attempts, 10);
    world.clock.advance_to(now);
    let path = format!("/v1/webhooks/{id}");
    let recovered = world.post_json(&format!("{path}/recover"), json!({ "since": START })).await;
    assert_eq!(
        (recovered.status.as_u16(), &recovered.json()["events"]),
        (202, &json!(1)),
        "{}",
        recovered.json()
    );
    let again = claim(&world.store, replica(1), now, 10).await;
    assert_eq!((again.len(), &*again[0].event.subject, again[0].attempts), (1, "a1", 0));
    let attempts = world.get(&format!("{path}/attempts?limit=3")).await.json();
    assert_eq!((&attempts["data"][0]["outcome"], &attempts["has_more"]), (&json!("delivered"), &json!(true)));
}

/// A lease that ran out is somebody else's; whoever had it writes nothing any more.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn whoever_was_overtaken_writes_nothing(pool: PgPool) {
    let world = World::start(pool).await;
    any_webhook(&world).await;
    tell(&world.store, START, "headroom.low", "x", None).await;
    hand_on(&world, START).await;
    let first = claim(&world.store, replica(1), START, 10).await.remove(0);
    let later = START.after(LEASE);
    assert!(claim(&world.store, replica(2), later.before(Duration::from_millis(1)), 10).await.is_empty());
    let second = claim(&world.store, replica(2), later, 10).await.remove(0);
    assert_eq!(
        (second.event.id, second.attempts),
        (first.event.id, 0),
        "the same, and no attempt is counted"
    );
    assert!(!end(&world.store, &first, Outcome::Refused, later).await);
    assert!(end(&world.store, &second, Outcome::Delivered, later).await);
    assert!(!end(&world.store, &second, Outcome::Delivered, later).await, "and once is once");
    assert_eq!(counted(&world.pool, "select count(*) from webhook_attempts").await, 1);
}

/// Whatever is committed late comes later, and is not passed over: neither by webhooks nor by whoever follows.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_is_committed_late_is_not_passed_over(pool: PgPool) {
    let world = World::start(pool).await;
    any_webhook(&world).await;
    let place = events_view::end(&world.store).await.expect("a place");
    let mut late =
        Work::begin(&world.store, Viewer::Operator, Actor::service("test"), START).await.expect("begun");
    let event = |subject: &str| Event {
        kind: "headroom.low",
        tenant: None,
        certificate: None,
        subject: subject.to_owned(),
        data: json!({}),
    };
    late.tell(event("late")).await.expect("told");
    tell(&world.store, START, "headroom.low", "soon", None).await;
    let filter = EventFilter { kinds: vec!["headroom.*".to_owned()], ..EventFilter::default() };
    let follow = async |place| {
        events_view::follow(&world.store, Viewer::Operator, &filter, &place, 10).await.expect("followed")
    };
    assert_eq!(world.store.fan_out_events(START, 100).await.expect("handed on").deliveries, 0);
    let nothing = follow(place).await;
    assert_eq!(nothing.events, Vec::new());
    late.commit().await.expect("committed");
    assert_eq!(hand_on(&world, START).await, 2);
    let both: Vec<String> = follow(nothing.place).await.events.into_iter().map(|one| one.subject).collect();
    assert_eq!(both, ["late", "soon"]);
}

/// Each event is handed on once, by however many replicas.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn replicas_hand_each_event_on_once(pool: PgPool) {
    let world = World::start(pool).await;
    let all = any_webhook(&world).await;
    let wanted = json!({ "url": "http://127.0.0.1:9/", "kinds": ["certificate.*", "headroom.low"] });
    let some = webhook(&world, wanted).await;
    for number in 0..30 {
        let kind = ["certificate.issued", "headroom.low", "headroom.recovered"][number % 3];
        tell(&world.store, START, kind, &number.to_string(), None).await;
    }
    all_is_told(&world.pool).await;
    while counted(&world.pool, "select count(*) from webhook_deliveries").await < 50 {
        let looks = (0..8).map(|_| world.store.fan_out_events(START, 4));
        for look in futures_util::future::join_all(looks).await {
            look.expect("handed on");
        }
    }
    let of = |id: WebhookId| {
        sqlx::query_scalar::<_, i64>(
            "select count(distinct event_id) from webhook_deliveries where webhook_id = $1",
        )
        .bind(id.0)
        .fetch_one(&world.pool)
    };
    assert_eq!((of(all).await.expect("a count"), of(some).await.expect("a count")), (30, 20));
    assert_eq!(world.store.fan_out_events(START, 100).await.expect("handed on").events, 0);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_webhook_that_only_fails_is_switched_off_and_told_of_once(pool: PgPool) {
    let world = World::start(pool).await;
    let id = any_webhook(&world).await;
    for of in 1..4 {
        tell(&world.store, START, "certificate.issued", "x", Some(of)).await;
    }
    hand_on(&world, START).await;
    let claims = claim(&world.store, replica(1), START, 10).await;
    assert_eq!(claims.len(), 3);
    assert!(end(&world.store, &claims[0], Outcome::Unreachable, START).await);
    let late = START.after(DISABLED_AFTER);
    for one in claims {
        let one = ClaimedDelivery { failing_since: Some(START), ..one };
        end(&world.store, &one, Outcome::Unreachable, late).await;
    }
    let path = format!("/v1/webhooks/{id}");
    let off = world.get(&path).await.json();
    assert_eq!((&off["status"], &off["disabled_reason"]), (&json!("disabled"), &json!("failing")), "{off}");
    let told = world.get("/v1/events?kind=webhook.disabled").await.json();
    assert_eq!((told["data"].as_array().map(Vec::len), &told["data"][0]["subject"]), (Some(1), &json!(id)));
    let far = late.after(Duration::from_hours(100));
    assert!(claim(&world.store, replica(1), far, 10).await.is_empty(), "nothing more is sent");
    tell(&world.store, far, "certificate.issued", "y", Some(9)).await;
    assert_eq!(hand_on(&world, far).await, 0);

    let headers = [("if-match", "\"2\"")];
    let on = json!({ "enabled": true });
    let on = world.json_as(&world.operator, http::Method::PATCH, &path, &headers, Some(on)).await;
    assert_eq!((on.status.as_u16(), &on.json()["status"]), (200, &json!("active")), "{}", on.json());
    assert_eq!(claim(&world.store, replica(1), far, 10).await.len(), 3, "what waited goes on");
}

/// One that fails is tried with one event at a time, and a slow one takes no more than its places.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn one_receiver_takes_no_more_than_its_places(pool: PgPool) {
    let world = World::start(pool).await;
    any_webhook(&world).await;
    for of in 1..30 {
        tell(&world.store, START, "certificate.issued", "x", Some(of)).await;
    }
    hand_on(&world, START).await;
    let claims = claim(&world.store, replica(1), START, 32).await;
    assert_eq!(claims.len(), 8);
    assert!(claim(&world.store, replica(2), START, 32).await.is_empty(), "over all replicas");
    for one in &claims {
        assert!(end(&world.store, one, Outcome::Timeout, START).await);
    }
    assert_eq!(claim(&world.store, replica(1), START, 32).await.len(), 1);
}

/// A dump that is restored elsewhere brings places which lie in that cluster's future.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn in_a_restored_database_events_go_on(pool: PgPool) {
    let world = World::start(pool).await;
    any_webhook(&world).await;
    world
        .execute(
            "insert into events (event_id, kind, subject, happened_at, xid)
             values (gen_random_uuid(), 'headroom.low', 'before', '2126-01-01', '9000000000000');
             update webhook_fan_out set xid = '9000000000000', seq = 1000000",
        )
        .await;
    tell(&world.store, START, "headroom.low", "after", None).await;
    assert_eq!(hand_on(&world, START).await, 1);
    let claims = claim(&world.store, replica(1), START, 10).await;
    assert_eq!(&*claims[0].event.subject, "after");
}

/// Ids as SQL writes them are the ids of everybody else.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn sql_makes_the_same_ids(pool: PgPool) {
    for number in [0, 1, 31, 32, u128::MAX, 0x0192_f0e1_0000_7abc_8def_0123_4567_89ab] {
        let id = Uuid::from_u128(number);
        let text: String =
            sqlx::query_scalar("select id_text('evt', $1)").bind(id).fetch_one(&pool).await.expect("a text");
        assert_eq!(text, EventId(id).to_string());
    }
    let at: Uuid = sqlx::query_scalar("select uuid_at('2026-11-21T10:04:05.25Z')")
        .fetch_one(&pool)
        .await
        .expect("an id");
    let carried = at.get_timestamp().expect("version 7").to_unix();
    assert_eq!((carried, at.get_version_num()), ((1_795_255_445, 250_000_000), 7));
}
