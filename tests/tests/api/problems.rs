use http::{Method, Request, StatusCode};
use http_body_util::Full;
use lockkeeper::store::Store;
use serde_json::json;
use sqlx::PgPool;

use crate::world::{World, insert_account};

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_does_not_exist_is_a_problem_document_too(pool: PgPool) {
    let world = World::start(pool).await;
    for path in ["/nowhere", "/v1/certificates/x", "/v1/orders/crt_00000000000000000000000000"] {
        let answer = world.get(path).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::NOT_FOUND, "not-found"),
            "{path}"
        );
    }
    let request = world.request(Method::DELETE, "/v1/orders", &world.operator).body(Full::default());
    let answer = world.send(request.expect("a request")).await;
    assert_eq!(answer.problem(), "method-not-allowed");
    assert!(answer.headers["allow"].to_str().expect("ASCII").contains("GET"));
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_file_that_is_no_import_is_refused_as_a_whole(pool: PgPool) {
    let world = World::start(pool).await;
    let post = async |content_type: &str, body: Vec<u8>| {
        let request = world
            .request(Method::POST, "/v1/imports", &world.operator)
            .header("content-type", content_type)
            .body(Full::from(body));
        world.send(request.expect("a request")).await
    };
    for content_type in ["application/json", "text/csv; charset=latin-1", "text/csvx"] {
        let answer = post(content_type, Vec::new()).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
        assert_eq!(answer.problem(), "unsupported-media-type", "{content_type}");
    }
    let answer = post("text/csv", b"tenant,external_id,name,challenge,labels\n".to_vec()).await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, "import-invalid")
    );
    let entry = &answer.json()["errors"][0];
    assert_eq!(
        (&entry["line"], &entry["column"], &entry["code"]),
        (&json!(1), &json!(20), &json!("bad-header"))
    );
    assert_eq!(world.rows("imports").await, 0);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_file_over_the_bound_is_refused_by_its_announced_length(pool: PgPool) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = World::start(pool).await;
    let address = world.base.strip_prefix("http://").expect("plain http");
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connects");
    let head = format!(
        "POST /v1/imports HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: text/csv\r\ncontent-length: 67108865\r\nconnection: close\r\n\r\n",
        world.operator
    );
    stream.write_all(head.as_bytes()).await.expect("sends");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answers before the body is sent");
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("\"code\":\"file-too-large\""), "{answer}");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_file_over_the_bound_is_refused_while_it_streams(pool: PgPool) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = World::start(pool).await;
    let address = world.base.strip_prefix("http://").expect("plain http");
    let (mut read, mut write) = tokio::net::TcpStream::connect(address).await.expect("connects").into_split();
    let head = format!(
        "POST /v1/imports HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: text/csv\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n",
        world.operator
    );
    write.write_all(head.as_bytes()).await.expect("sends");
    let sender = tokio::spawn(async move {
        let chunk = [b"100000\r\n".as_slice(), &vec![b'a'; 0x10_0000], b"\r\n"].concat();
        // One MiB more than the bound; the server may hang up on the rest.
        for _ in 0..65 {
            if write.write_all(&chunk).await.is_err() {
                break;
            }
        }
        write
    });
    let mut status = [0; 12];
    read.read_exact(&mut status).await.expect("an answer");
    assert_eq!(&status, b"HTTP/1.1 413");
    drop(sender.await.expect("the sender ends"));
    assert_eq!(world.rows("imports").await, 0);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_database_that_is_away_is_said_so(pool: PgPool) {
    let account = insert_account(&pool).await;
    let store = Store::from_pool(pool.clone());
    let token = lockkeeper::store::api_keys::Token::generate(lockkeeper::store::viewer::Viewer::Operator);
    let world = World::serve(pool, store.clone(), account, token.reveal().to_owned()).await;
    store.close().await;
    for path in ["/v1/summary", "/readyz"] {
        let answer = world.get(path).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "database-unavailable"),
            "{path}"
        );
        assert!(answer.headers.contains_key("retry-after"), "{path}");
    }
    let live = Request::get(format!("{}/livez", world.base)).body(Full::default()).expect("a request");
    assert_eq!(world.send(live).await.status, StatusCode::OK);
}
