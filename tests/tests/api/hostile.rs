//! What nobody should send: each of it is refused with a problem that says so, stores nothing, and is not written down as
//! it came.

use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::Full;
use sqlx::PgPool;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tracing_subscriber::fmt::MakeWriter;

use crate::described::Operation;
use crate::world::{Answer, World};

/// Stands in everything that is sent here, and must stand in no log.
const MARK: &str = "zq81mark";

#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("nobody panicked")).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panicked").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Rows of all tables: what is stored, in numbers.
pub(crate) async fn stored(world: &World) -> Vec<(String, i64)> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.tables
         where table_schema = 'public' and table_type = 'BASE TABLE' order by 1",
    )
    .fetch_all(&world.pool)
    .await
    .expect("tables");
    assert!(tables.len() > 10, "{tables:?}");
    let mut counts = Vec::new();
    for table in tables {
        let rows = world.rows(&format!("\"{table}\"")).await;
        counts.push((table, rows));
    }
    counts
}

fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let deep = |open: &str, close: &str| {
        format!("{}\"{MARK}\"{}", open.repeat(100_000), close.repeat(100_000)).into_bytes()
    };
    vec![
        ("arrays in arrays", deep("[", "]")),
        ("objects in objects", deep("{\"a\":", "}")),
        ("no UTF-8", [b"{\"".as_slice(), MARK.as_bytes(), b"\":\"\xff\xfe\"}"].concat()),
        ("an unknown field", format!("{{\"{MARK}\":1}}").into_bytes()),
        ("a long unknown field", format!("{{\"{}\":1}}", MARK.repeat(10_000)).into_bytes()),
        ("no object", format!("\"{MARK}\"").into_bytes()),
        ("half a document", format!("{{\"{MARK}\":").into_bytes()),
        ("two documents", format!("{{}} {{\"{MARK}\":1}}").into_bytes()),
        ("a null byte", format!("{{\"{MARK}\":\"\0\"}}").into_bytes()),
        ("a null character", format!("{{\"{MARK}\":\"\\u0000\"}}").into_bytes()),
        ("half a surrogate", format!("{{\"{MARK}\":\"\\ud800\"}}").into_bytes()),
        ("more than a MiB", format!("{{\"{MARK}\":\"{}\"}}", "a".repeat(1 << 20)).into_bytes()),
    ]
}

async fn post(world: &World, operation: &Operation, kind: &str, body: Vec<u8>) -> Answer {
    let request = world
        .request(operation.method.clone(), &operation.address(), &world.operator)
        .header("content-type", kind)
        .header("idempotency-key", "hostile")
        .body(Full::from(Bytes::from(body)));
    world.send(request.expect("a request")).await
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn documents_that_make_no_sense_are_refused_by_every_operation(pool: PgPool) {
    let log = Log::default();
    let logging =
        tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(logging);
    let world = World::start(pool).await;
    let before = stored(&world).await;
    let mut sent = 0;
    for operation in world.operations().await {
        let problems = !operation.path.starts_with("/acme-dns/");
        // A file that is read row by row has a verdict for each.
        for kind in operation.body_kinds().into_iter().filter(|kind| kind != "application/x-ndjson") {
            for (what, body) in bodies() {
                let what = format!("{} {} as {kind}: {what}", operation.method, operation.path);
                let answer = post(&world, &operation, &kind, body).await;
                assert!(answer.status.is_client_error(), "{what}: {}", answer.status);
                assert!(answer.body.len() < 8_192, "{what}: an answer of {} bytes", answer.body.len());
                if problems {
                    answer.problem();
                }
                sent += 1;
            }
            let answer = post(&world, &operation, "text/x-nonsense", b"{}".to_vec()).await;
            if problems {
                let code = answer.problem();
                let expected = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type");
                assert_eq!(
                    (answer.status, code.as_str()),
                    expected,
                    "{} {}",
                    operation.method,
                    operation.path
                );
            }
        }
    }
    assert!(sent > 50, "{sent}");
    assert_eq!(stored(&world).await, before);
    assert!(!log.text().contains(MARK), "{}", log.text());
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn names_and_ids_that_are_none_lead_nowhere(pool: PgPool) {
    let world = World::start(pool).await;
    let before = stored(&world).await;
    let long = "a".repeat(64);
    let very_long = format!("{}example.com", "a.".repeat(5_000));
    let texts = [
        "%00",
        "%ff%fe",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "a%0d%0aset-cookie:%20x=1",
        "%F0%9F%92%A9",
        "192.0.2.1",
        "%5B2001:db8::1%5D",
        "com",
        "co.uk",
        "*.*.example.com",
        "a.*.example.com",
        "xn--",
        "-a.example.com",
        "a..example.com",
        "%20example.com",
        "crt_7zzzzzzzzzzzzzzzzzzzzzzzzzz",
        "crt_%00",
        "'%20or%201=1--",
        "%25s%25n",
        long.as_str(),
        very_long.as_str(),
    ];
    for operation in world.operations().await {
        let Some(start) = operation.path.find('{') else { continue };
        let end = operation.path[start..].find('}').map_or(start, |length| start + length + 1);
        let plausible = operation.address();
        let rest = plausible.split('?').next().unwrap_or_default();
        // What follows the first parameter stands as it is.
        let tail: String = operation.path[end..].replace("{check}", "dns");
        let tail =
            if tail.contains('{') { rest[rest.len().saturating_sub(tail.len())..].to_owned() } else { tail };
        for text in texts {
            let address = format!("{}{text}{tail}", &operation.path[..start]);
            let request = world.request(operation.method.clone(), &address, &world.operator).header(
                "content-type",
                operation.body_kinds().first().map_or("application/json", String::as_str),
            );
            let answer = world.send(request.body(Full::default()).expect("a request")).await;
            let what = format!("{} {address:.200}", operation.method);
            assert!(answer.status.is_client_error(), "{what}: {}", answer.status);
            answer.problem();
            assert!(!answer.headers.contains_key("set-cookie"), "{what}");
        }
    }
    assert_eq!(stored(&world).await, before);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn queries_that_make_no_sense_are_refused_by_every_list(pool: PgPool) {
    let world = World::start(pool).await;
    let mut lists = 0;
    for operation in world.operations().await {
        if !operation.parameters().iter().any(|parameter| parameter["name"] == "cursor") {
            continue;
        }
        lists += 1;
        for parameter in operation.parameters().iter().filter(|parameter| parameter["in"] == "query") {
            let name = parameter["name"].as_str().expect("a name");
            let answer = world.get(&format!("{}?{name}=a%00b", operation.address())).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}?{name}", operation.path);
            answer.problem();
        }
        for query in [
            "limit=0",
            "limit=-1",
            "limit=1001",
            "limit=99999999999999999999",
            "limit=x",
            "limit=1&limit=2",
            "limit=%00",
            "cursor=%ff",
            "cursor=AAAA",
            "cursor=..%2f",
            "%ff=1",
            "Limit=1",
            "limit[]=1",
        ] {
            let answer = world.get(&format!("{}?{query}", operation.address())).await;
            let code = answer.problem();
            assert_eq!(
                (answer.status, code.as_str()),
                (StatusCode::BAD_REQUEST, "validation-failed"),
                "{}?{query}",
                operation.path
            );
        }
    }
    assert!(lists >= 4, "{lists}");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn names_of_requests_that_are_none_are_refused(pool: PgPool) {
    let world = World::start(pool).await;
    let before = stored(&world).await;
    let long = "k".repeat(256);
    for key in [b"".as_slice(), b"\"", b"a\"b", b"\xc3\xa4", b"a\\b", long.as_bytes()] {
        let request = world
            .request(Method::POST, "/v1/limit-overrides/search", &world.operator)
            .header("idempotency-key", http::HeaderValue::from_bytes(key).expect("a header"));
        let answer = world.send(request.body(Full::default()).expect("a request")).await;
        let code = answer.problem();
        assert_eq!((answer.status, code.as_str()), (StatusCode::BAD_REQUEST, "validation-failed"), "{key:?}");
    }
    assert_eq!(stored(&world).await, before);
}

/// Below HTTP's rules: nothing of it reaches a handler, and the connection says 400.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_is_no_http_is_refused_before_any_handler(pool: PgPool) {
    let world = World::start(pool).await;
    let address = world.base.strip_prefix("http://").expect("plain http").to_owned();
    for lines in [
        "GET /v1/certificates HTTP/1.1\r\nhost: x\r\nx-a: b\x00c\r\n\r\n",
        "GET /v1/certificates HTTP/1.1\r\nhost: x\r\nx-a : b\r\n\r\n",
        "GET /v1/certi ficates HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /v1/certificates HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na",
        "GET\x01/v1/certificates HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST /v1/imports HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, nonsense\r\n\r\n0\r\n\r\n",
    ] {
        let mut stream = tokio::net::TcpStream::connect(&address).await.expect("connects");
        stream.write_all(lines.as_bytes()).await.expect("sends");
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        tokio::time::timeout(std::time::Duration::from_secs(10), ended)
            .await
            .expect("an end")
            .expect("an answer");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{lines:?}: {answer:?}");
    }
    assert_eq!(world.get("/livez").await.status, StatusCode::OK, "and it goes on");
}
