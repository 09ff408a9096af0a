use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use super::super::probe::draw_token;
use super::super::world::{DEADLINE, ORDER, PATIENCE, Shelf, WAITING_MAX, secret};
use super::*;

mod boards;
mod hostile;
mod logs;

const TOKEN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";
const KEY_AUTHORIZATION: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.thumbprint";

struct Running {
    address: SocketAddr,
    shelf: Arc<Shelf>,
    board: Arc<Board>,
    stop: CancellationToken,
    ended: JoinHandle<()>,
}

async fn start_with(shelf: Shelf, config: ResponderConfig) -> Running {
    start_logging(shelf, config, None).await
}

async fn start_logging(shelf: Shelf, config: ResponderConfig, log: Option<FetchLog>) -> Running {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    let (shelf, stop) = (Arc::new(shelf), CancellationToken::new());
    let board = Arc::new(Board::new(Arc::clone(&shelf) as Arc<dyn Responses>, WAITING_MAX));
    let mut responder = Responder::new(config, Arc::clone(&board), secret());
    if let Some(log) = log {
        responder = responder.logging(log);
    }
    let ended = tokio::spawn(responder.serve(listener, stop.clone()));
    Running { address, shelf, board, stop, ended }
}

async fn start() -> Running {
    start_with(one_response(), short()).await
}

fn one_response() -> Shelf {
    let responses = HashMap::from([(TOKEN.to_owned(), KEY_AUTHORIZATION.to_owned())]);
    Shelf { responses, ..Shelf::default() }
}

fn short() -> ResponderConfig {
    ResponderConfig { header_timeout: DEADLINE, read_timeout: DEADLINE, ..ResponderConfig::default() }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    /// Sends these bytes and reads until the responder closes.
    async fn exchange(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        String::from_utf8(answer).expect("text")
    }

    async fn request(&self, method: &str, target: &str) -> String {
        self.exchange(&format!("{method} {target} HTTP/1.1\r\nHost: a.com\r\nConnection: close\r\n\r\n"))
            .await
    }
}

fn target(token: &str) -> String {
    format!("{CHALLENGE_PATH}{token}")
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("a head").1
}

#[tokio::test]
async fn a_known_token_is_served_plainly() {
    let running = start().await;
    let answer = running.request("GET", &target(TOKEN)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(body(&answer), KEY_AUTHORIZATION);
    for header in ["content-type: text/plain", "x-content-type-options: nosniff", "cache-control: no-store"] {
        assert!(answer.contains(header), "{answer}");
    }
}

#[tokio::test]
async fn head_gets_the_head_only() {
    let running = start().await;
    let answer = running.request("HEAD", &target(TOKEN)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains(&format!("content-length: {}", KEY_AUTHORIZATION.len())), "{answer}");
    assert_eq!(body(&answer), "");
}

#[tokio::test]
async fn an_unknown_token_is_not_found() {
    let running = start().await;
    let answer = running.request("GET", &target("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")).await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert_eq!(body(&answer), "");
    assert_eq!(running.shelf.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn nothing_else_reaches_the_database_or_comes_back() {
    let running = start().await;
    let (short, long) = ("a".repeat(15), "a".repeat(129));
    let very_long = "a".repeat(4000);
    let targets = [
        "/",
        "/.well-known/acme-challenge",
        "/.well-known/acme-challenge/",
        &target(&short),
        &target(&long),
        &target(&very_long),
        &format!("{}/", target(TOKEN)),
        &format!("{}?x=1", target(TOKEN)),
        &format!("{}?", target(TOKEN)),
        &format!("{}.", target(TOKEN)),
        &format!("{}%00", target(TOKEN)),
        &format!("{}%0d%0a", target(TOKEN)),
        &format!("/{}", target(TOKEN)),
        &format!("/x/..{}", target(TOKEN)),
        &target(&format!("../{TOKEN}")),
        &target("../../../../etc/passwd"),
        &target("..%2f..%2f..%2fetc%2fpasswd"),
        &target("%2e%2e%2f%2e%2e%2fetc/passwd"),
        &target("....//....//etc/passwd"),
        &target("..\\..\\..\\windows\\win.ini"),
        &target("<script>alert(1)</script>"),
        &target("%3Cscript%3Ealert(1)%3C/script%3E"),
        &target("aaaaaaaaaaaaaaaa;id"),
        &target("aaaaaaaaaaaaaaaa'or'1'='1"),
        &target("aaaaaaaaaaaaaaaa+aaaa"),
        "/.WELL-KNOWN/acme-challenge/evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA",
        "/.well-known/acme-challenge//evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA",
        "/.well-known/./acme-challenge/evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA",
        "/%2ewell-known/acme-challenge/evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA",
        &target("lockkeeper-probe-short"),
        "*",
    ];
    for target in targets {
        let answer = running.request("GET", target).await;
        assert!(
            answer.starts_with("HTTP/1.1 404 ") || answer.starts_with("HTTP/1.1 400 "),
            "{target}: {answer}"
        );
        assert_eq!(body(&answer), "", "{target}");
        for echo in ["script", "passwd", "aaaa", TOKEN] {
            assert!(!answer.contains(echo), "{target}: {answer}");
        }
    }
    // Well-formed, so it is looked for; the stateless answer is for whole probes only.
    assert_eq!(running.shelf.asked.load(Ordering::SeqCst), 1, "only the short probe");
}

#[tokio::test]
async fn other_methods_are_refused() {
    let running = start().await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "PROPFIND"] {
        let answer = running.request(method, &target(TOKEN)).await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
        assert!(answer.contains("allow: GET, HEAD"), "{answer}");
    }
    assert_eq!(running.shelf.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_probe_is_answered_without_the_database() {
    let running = start_with(Shelf { down: true.into(), ..Shelf::default() }, short()).await;
    let token = draw_token();
    let answer = running.request("GET", &target(&token)).await;
    assert_eq!(body(&answer), secret().answer(&token));
    assert_eq!(running.shelf.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn while_the_database_is_down_the_ca_is_asked_to_come_again() {
    for shelf in [Shelf { down: true.into(), ..Shelf::default() }, Shelf { hangs: true, ..Shelf::default() }]
    {
        let running = start_with(shelf, short()).await;
        let answer = running.request("GET", &target(TOKEN)).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("retry-after: 1"), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let running = start().await;
    let mut stream = running.connect().await;
    for _ in 0..3 {
        stream
            .write_all(format!("GET {} HTTP/1.1\r\nHost: a.com\r\n\r\n", target(TOKEN)).as_bytes())
            .await
            .expect("written");
        let mut answer = Vec::new();
        while !answer.ends_with(KEY_AUTHORIZATION.as_bytes()) {
            let mut buffer = [0; 1024];
            let length = stream.read(&mut buffer).await.expect("an answer");
            assert_ne!(length, 0, "closed");
            answer.extend_from_slice(&buffer[..length]);
        }
    }
    assert_eq!(running.shelf.asked.load(Ordering::SeqCst), 1, "then it is on the board");
}

#[tokio::test]
async fn a_slow_or_huge_head_ends_the_connection() {
    let running = start().await;
    let slow = timeout(DEADLINE * 5, running.exchange("GET / HTTP/1.1\r\nHost: a")).await;
    assert!(!slow.expect("closed in time").contains("200"));

    let huge = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(HEAD_BYTES_MAX));
    let answer = running.exchange(&huge).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn stopping_closes_idle_connections_and_returns() {
    let running = start().await;
    let mut idle = running.connect().await;
    idle.write_all(format!("GET {} HTTP/1.1\r\nHost: a.com\r\n\r\n", target(TOKEN)).as_bytes())
        .await
        .expect("written");
    let mut buffer = [0; 1024];
    assert_ne!(idle.read(&mut buffer).await.expect("an answer"), 0);
    running.stop.cancel();
    timeout(Duration::from_secs(5), running.ended).await.expect("ended in time").expect("ended well");
    assert!(TcpStream::connect(running.address).await.is_err());
}
