//! Imports that the service works on by itself: from the upload to the rollback.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::{Method, StatusCode};
use http_body_util::Full;
use lockkeeper::clock::Pace;
use lockkeeper::intake::Intake;
use lockkeeper::store::leases::Replica;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::world::{Answer, HEADER, World, lines};

const CSV: &str = "text/csv";
const NDJSON: &str = "application/x-ndjson";

pub(crate) fn intake(world: &World, replica: u128) -> Intake {
    Intake {
        store: world.store.clone(),
        clock: world.clock.clone(),
        pace: Pace::REAL,
        replica: Replica(Uuid::from_u128(replica)),
        bell: std::sync::Arc::default(),
        wake: world.wake.clone(),
    }
}

pub(crate) async fn work_off(world: &World) {
    intake(world, 1).work_off_now().await.expect("the database is there");
}

async fn send_as(
    world: &World,
    token: &str,
    mode: &str,
    kind: &str,
    headers: &[(&str, &str)],
    body: impl Into<Vec<u8>>,
) -> Answer {
    let path = if mode.is_empty() { "/v1/imports".to_owned() } else { format!("/v1/imports?mode={mode}") };
    let mut request = world.request(Method::POST, &path, token).header("content-type", kind);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.send(request.body(Full::from(body.into())).expect("a request")).await
}

/// A CSV that is received; its id.
pub(crate) async fn send(world: &World, mode: &str, rows: &str) -> String {
    let answer = send_as(world, &world.operator, mode, CSV, &[], format!("{HEADER}{rows}")).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", String::from_utf8_lossy(&answer.body));
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(answer.headers["location"], format!("/v1/imports/{id}"));
    id
}

pub(crate) async fn wish(world: &World, id: &str, what: &str) -> Answer {
    let request = world.request(Method::POST, &format!("/v1/imports/{id}/{what}"), &world.operator);
    world.send(request.body(Full::default()).expect("a request")).await
}

pub(crate) async fn read(world: &World, id: &str) -> Value {
    world.get(&format!("/v1/imports/{id}")).await.json()
}

pub(crate) fn counts(import: &Value) -> [i64; 6] {
    ["rows_total", "rows_created", "rows_changed", "rows_unchanged", "rows_repeated", "rows_refused"]
        .map(|name| import[name].as_i64().unwrap_or_else(|| panic!("no {name} in {import}")))
}

/// Line, verdict, and of the first thing that is wrong column and code.
pub(crate) async fn verdicts(world: &World, id: &str) -> Vec<(i64, String, i64, String)> {
    let items = world.get(&format!("/v1/imports/{id}/items?limit=1000")).await.json();
    let row = |item: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let fault = &item["errors"][0];
        (
            item["line"].as_i64().expect("a line"),
            text(&item["verdict"]),
            fault["column"].as_i64().unwrap_or_default(),
            text(&fault["code"]),
        )
    };
    items["data"].as_array().expect("a list").iter().map(row).collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).expect("memory");
    encoder.finish().expect("memory")
}

const MIXED: &str = "t1,s1,a.com,http-01,x=1\n\
    t1,s2,b.com www.b.com,http-01,\n\
    t1,s3,c.com,http-01,\n\
    t1,s4,new.com *.new.com,dns-01,\n\
    t1,s4,*.new.com new.com,dns-01,\n\
    t1,s4,other.com,http-01,\n\
    t1,s5,co.uk,http-01,\n\
    t1,s6,fine.com taken.com,http-01,\n\
    t1,s7,fresh.com new.com,http-01,\n\
    t1,s8,sub.taken.com,dns-01,\n\
    t3,s1,third.com,http-01,\n";

async fn before(world: &World) {
    world.import("t1,s1,a.com,http-01,x=1\nt1,s2,b.com,http-01,\nt1,s3,c.com,http-01,y=2\nt2,s1,taken.com,http-01,\n").await;
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_preview_tells_of_every_row_and_its_commit_makes_it_so(pool: PgPool) {
    let world = World::start(pool).await;
    before(&world).await;
    let id = send(&world, "preview", MIXED).await;
    assert_eq!(read(&world, &id).await["status"], "checking");
    work_off(&world).await;
    let preview = read(&world, &id).await;
    assert_eq!((&preview["status"], &preview["progress"]), (&json!("preview"), &json!(1.0)));
    assert_eq!(counts(&preview), [11, 2, 2, 1, 1, 5]);
    let row = |line, verdict: &str, column, code: &str| (line, verdict.to_owned(), column, code.to_owned());
    let expected = [
        row(2, "unchanged", 0, ""),
        row(3, "changed", 0, ""),
        row(4, "changed", 0, ""),
        row(5, "created", 0, ""),
        row(6, "repeated", 0, ""),
        row(7, "refused", 4, "external_id_repeated"),
        row(8, "refused", 7, "public_suffix"),
        row(9, "refused", 16, "hostname_owned_by_other_tenant"),
        row(10, "refused", 17, "name_repeated_in_file"),
        row(11, "refused", 7, "hostname_owned_by_other_tenant"),
        row(12, "created", 0, ""),
    ];
    assert_eq!(verdicts(&world, &id).await, expected);
    let rows = async || {
        [world.rows("certificates").await, world.rows("orders").await, world.rows("hostnames").await]
    };
    assert_eq!((rows().await, world.rows("tenants").await), ([4, 4, 4], 2), "nothing is made");

    assert_eq!(wish(&world, &id, "commit").await.status, StatusCode::ACCEPTED);
    work_off(&world).await;
    let done = read(&world, &id).await;
    assert_eq!(done["status"], "completed");
    assert_eq!(counts(&done), [11, 2, 2, 1, 1, 5]);
    assert_eq!(done["orders_created"], 3, "two new ones, and one with other names");
    assert_eq!(verdicts(&world, &id).await, expected);
    // www.b.com, new.com, third.com: a refused row claims nothing.
    assert_eq!((rows().await, world.rows("tenants").await), ([6, 7, 7], 3));
    let changed = world.get("/v1/certificates?external_id=s2").await.json();
    assert_eq!(changed["data"][0]["names"], json!(["b.com", "www.b.com"]));
    let wildcard = world.get("/v1/certificates?external_id=s4").await.json();
    assert_eq!(wildcard["data"][0]["challenge"], "dns-01");
    let kinds: Vec<String> = sqlx::query_scalar("select kind from events where subject = $1 order by seq")
        .bind(&id)
        .fetch_all(&world.pool)
        .await
        .expect("events");
    assert_eq!(kinds, ["import.created", "import.previewed", "import.committed", "import.completed"]);
    assert_eq!(wish(&world, &id, "commit").await.status, StatusCode::ACCEPTED, "it is so already");
    work_off(&world).await;
    assert_eq!(rows().await, [6, 7, 7]);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_is_committed_at_once_and_again_is_there_once(pool: PgPool) {
    let world = World::start(pool).await;
    let rows =
        lines((0..4_500).map(|n| format!("t{},s{n},site-{n}.com www.site-{n}.com,http-01,n={n}\n", n % 7)));
    let id = send(&world, "commit", &rows).await;
    work_off(&world).await;
    assert_eq!(counts(&read(&world, &id).await), [4_500, 4_500, 0, 0, 0, 0]);
    assert!(tokio::time::timeout(Duration::from_secs(5), world.wake.notified()).await.is_ok(), "woken");
    for (table, expected) in
        [("certificates", 4_500), ("orders", 4_500), ("hostnames", 9_000), ("tenants", 7)]
    {
        assert_eq!(world.rows(table).await, expected, "{table}");
    }
    let tags: i64 =
        sqlx::query_scalar("select count(distinct (tenant_id, fair_tag)) from orders where in_line")
            .fetch_one(&world.pool)
            .await
            .expect("a count");
    assert_eq!(tags, 4_500, "each has its own place in its tenant's line");
    let again = send(&world, "commit", &rows).await;
    work_off(&world).await;
    assert_eq!(counts(&read(&world, &again).await), [4_500, 0, 0, 4_500, 0, 0]);
    assert_eq!(world.rows("orders").await, 4_500);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn ndjson_in_gzip_says_the_same_and_is_previewed(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("t1,s0,zero.com,http-01,\n").await;
    let token = world.token_of("t1").await;
    let body = "{\"external_id\":\"s1\",\"names\":[\"a.com\",\"www.a.com\"],\"labels\":{\"rack\":\"4\"}}\r\n\n\
        {\"external_id\":\"s2\",\"names\":[\"b.com\"],\"nmae\":1}\n\
        {\"tenant\":\"t2\",\"external_id\":\"s3\",\"names\":[\"c.com\"]}";
    let answer =
        send_as(&world, &token, "", NDJSON, &[("content-encoding", "gzip")], gzip(body.as_bytes())).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let import = answer.json();
    assert_eq!((&import["mode"], &import["tenant"]), (&json!("preview"), &json!("t1")));
    let id = import["id"].as_str().expect("an id");
    work_off(&world).await;
    assert_eq!(counts(&read(&world, id).await), [3, 1, 0, 0, 0, 2]);
    let refused = [(3, "not_an_object"), (4, "other_tenant")];
    let found: Vec<(i64, String)> =
        verdicts(&world, id).await.into_iter().skip(1).map(|row| (row.0, row.3)).collect();
    assert_eq!(found, refused.map(|(line, code)| (line, code.to_owned())));
    wish(&world, id, "commit").await;
    work_off(&world).await;
    let made = world.get("/v1/certificates?external_id=s1").await.json();
    assert_eq!(
        (&made["data"][0]["tenant"], &made["data"][0]["labels"]),
        (&json!("t1"), &json!({"rack": "4"}))
    );
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_file_that_is_none_is_refused_and_leaves_nothing(pool: PgPool) {
    let world = World::start(pool).await;
    let good = lines((0..9_000).map(|n| format!("t1,s{n},site-{n}.com,http-01,\n")));
    let bomb = gzip(format!("{HEADER}{}", "t1,s1,a.com,http-01,\n".repeat(400_000)).as_bytes());
    let cut = gzip(format!("{HEADER}{good}").as_bytes());
    let cases = [
        (CSV, "gzip", bomb, 413, "file-too-large"),
        (CSV, "gzip", cut[..cut.len() - 100].to_vec(), 400, "bad-encoding"),
        (CSV, "br", Vec::new(), 415, "unsupported-encoding"),
        (CSV, "identity", b"tenant,names\n".to_vec(), 422, "import-invalid"),
        (CSV, "identity", Vec::new(), 422, "import-invalid"),
        (NDJSON, "identity", b"\n\n".to_vec(), 422, "import-invalid"),
        ("application/json", "identity", b"{}".to_vec(), 415, "unsupported-media-type"),
    ];
    for (kind, encoding, body, status, code) in cases {
        let headers = [("content-encoding", encoding)];
        let answer = send_as(&world, &world.operator, "commit", kind, &headers, body).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, code), "{kind} {encoding}");
    }
    let listed = world.get("/v1/imports").await.json();
    assert_eq!(listed["data"], json!([]), "what is no import is not listed");
    work_off(&world).await;
    for table in ["imports", "import_items", "import_faults", "certificates", "hostnames", "events"] {
        assert_eq!(world.rows(table).await, 0, "{table}");
    }
    // A bomb is none in one request either.
    let bomb = gzip(format!("{HEADER}{}", "t1,s1,a.com,http-01,\n".repeat(400_000)).as_bytes());
    let answer = send_as(&world, &world.operator, "", CSV, &[("content-encoding", "gzip")], bomb).await;
    assert_eq!(answer.problem(), "file-too-large");
    let whole = gzip(format!("{HEADER}t1,s1,a.com,http-01,\n").as_bytes());
    let answer = send_as(&world, &world.operator, "", CSV, &[("content-encoding", "gzip")], whole).await;
    assert_eq!((answer.status, &answer.json()["rows_created"]), (StatusCode::CREATED, &json!(1)));
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn the_same_upload_again_is_the_same_import(pool: PgPool) {
    let world = World::start(pool).await;
    let key = [("idempotency-key", "\"first\"")];
    let file = format!("{HEADER}t1,s1,a.com,http-01,\n");
    for mode in ["commit", ""] {
        let first = send_as(&world, &world.operator, mode, CSV, &key, file.clone()).await;
        let again = send_as(&world, &world.operator, mode, CSV, &key, file.clone()).await;
        assert_eq!((again.status, &again.body), (first.status, &first.body));
        assert_eq!(again.headers["idempotency-replayed"], "true");
        let other = format!("{file}t1,s2,b.com,http-01,\n");
        let reused = send_as(&world, &world.operator, mode, CSV, &key, other).await;
        assert_eq!(reused.problem(), "idempotency-key-reused", "{mode}");
        work_off(&world).await;
        // The other query is another request: its name has to be another one.
        sqlx::query("delete from idempotent_answers").execute(&world.pool).await.expect("forgotten");
    }
    assert_eq!([world.rows("certificates").await, world.rows("import_items").await], [1, 1]);
    assert_eq!(world.rows("imports").await, 1, "the second file changed nothing");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn an_import_is_its_tenants_alone(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("t1,s1,a.com,http-01,\nt2,s1,b.com,http-01,\n").await;
    let (one, two) = (world.token_of("t1").await, world.token_of("t2").await);
    let file = format!("{HEADER}t1,s2,mine.com,http-01,\nt2,s2,c.com,http-01,\nt1,s3,b.com,http-01,\n");
    let answer = send_as(&world, &one, "preview", CSV, &[], file).await;
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    work_off(&world).await;
    let of_operator = send(&world, "preview", "t1,s9,nine.com,http-01,\n").await;
    for id in [&id, &of_operator] {
        let foreign = if id == &of_operator { &one } else { &two };
        for path in ["", "/items", "/errors"] {
            let answer = world.get_as(foreign, &format!("/v1/imports/{id}{path}")).await;
            assert_eq!(
                (answer.status, answer.problem().as_str()),
                (StatusCode::NOT_FOUND, "not-found"),
                "{path}"
            );
        }
        for what in ["commit", "cancel", "rollback"] {
            let request = world.request(Method::POST, &format!("/v1/imports/{id}/{what}"), foreign);
            let answer = world.send(request.body(Full::default()).expect("a request")).await;
            assert_eq!(
                (answer.status, answer.problem().as_str()),
                (StatusCode::NOT_FOUND, "not-found"),
                "{what}"
            );
        }
    }
    let listed = async |token: &str| {
        world.get_as(token, "/v1/imports").await.json()["data"].as_array().expect("a list").len()
    };
    assert_eq!([listed(&two).await, listed(&one).await, listed(&world.operator).await], [0, 1, 3]);
    let codes: Vec<String> = verdicts(&world, &id).await.into_iter().map(|row| row.3).collect();
    assert_eq!(codes, ["", "other_tenant", "hostname_owned_by_other_tenant"]);
    // Its own it may commit.
    let request = world.request(Method::POST, &format!("/v1/imports/{id}/commit"), &one);
    assert_eq!(
        world.send(request.body(Full::default()).expect("a request")).await.status,
        StatusCode::ACCEPTED
    );
    work_off(&world).await;
    let stray: i64 = sqlx::query_scalar(
        "select count(*) from certificates join hostnames on hostname = any(names) where certificates.tenant_id <> hostnames.tenant_id",
    )
    .fetch_one(&world.pool)
    .await
    .expect("a count");
    assert_eq!((stray, world.rows("certificates").await), (0, 3));
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn errors_are_downloaded_and_no_cell_is_a_formula(pool: PgPool) {
    let world = World::start(pool).await;
    let rows = format!(
        "\"=cmd|'/C calc'!A0\",s1,a.com,http-01,\n+1,s2,b.com,http-01,\nt1,s3,-x.com,http-01,\n{}",
        lines((0..1_500).map(|n| format!("t1,n{n},co.uk,http-01,\n")))
    );
    let id = send(&world, "preview", &rows).await;
    work_off(&world).await;
    let csv = world.get(&format!("/v1/imports/{id}/errors")).await;
    assert_eq!(csv.content_type(), "text/csv; charset=utf-8");
    assert!(csv.headers["content-disposition"].to_str().expect("ASCII").contains("attachment"));
    let text = String::from_utf8(csv.body.to_vec()).expect("UTF-8");
    let table: Vec<&str> = text.split_terminator("\r\n").collect();
    assert_eq!((table.len(), table[0]), (1_504, "line,column,field,code,detail"));
    assert!(table[1].starts_with("2,1,tenant,bad_tenant,\"'\"\"=cmd"), "{}", table[1]);
    assert!(table[2].starts_with("3,1,tenant,bad_tenant,\"'\"\"+1"), "{}", table[2]);
    assert!(table[3].starts_with("4,7,names,bad_dns_label,\"'"), "{}", table[3]);
    assert!(table[1_503].starts_with("1504,"), "{}", table[1_503]);
    let ndjson = world.get(&format!("/v1/imports/{id}/errors?format=ndjson")).await;
    let objects: Vec<Value> = String::from_utf8(ndjson.body.to_vec())
        .expect("UTF-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(objects.len(), 1_503);
    assert_eq!((&objects[2]["line"], &objects[2]["column"]), (&json!(4), &json!(7)));
    assert_eq!(
        world.get(&format!("/v1/imports/{id}/errors?format=xls")).await.status,
        StatusCode::BAD_REQUEST
    );
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn items_are_walked_by_verdict(pool: PgPool) {
    let world = World::start(pool).await;
    let rows = lines((0..250).map(|n| {
        let name = if n % 5 == 0 { "co.uk".to_owned() } else { format!("site-{n}.com") };
        format!("t1,s{n},{name},http-01,\n")
    }));
    let id = send(&world, "preview", &rows).await;
    work_off(&world).await;
    for (verdict, expected) in [("refused", 50), ("created", 200), ("changed", 0)] {
        let (mut lines, mut cursor) = (Vec::new(), String::new());
        loop {
            let page =
                world.get(&format!("/v1/imports/{id}/items?verdict={verdict}&limit=30{cursor}")).await.json();
            lines.extend(page["data"].as_array().expect("a list").iter().map(|item| item["line"].as_i64()));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert!(lines.is_sorted() && lines.len() == expected, "{verdict}: {lines:?}");
    }
    let page = world.get(&format!("/v1/imports/{id}/items?verdict=refused&limit=30")).await.json();
    let stolen = format!("/v1/imports/{id}/items?cursor={}", page["next_cursor"].as_str().expect("more"));
    assert_eq!(world.get(&stolen).await.problem(), "validation-failed", "a cursor keeps its filter");
    assert_eq!(
        world.get(&format!("/v1/imports/{id}/items?verdict=good")).await.status,
        StatusCode::BAD_REQUEST
    );
}
