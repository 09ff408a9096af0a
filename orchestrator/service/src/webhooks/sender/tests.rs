//! Receivers on loopback, each with its manners; and inside, whom nobody may reach.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderValue;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::challenge::world::{self, INSIDE_RECORDS, INSIDE_URLS, Zone};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_248_235); // 2026-11-21 08:03:55 UTC
const NAME: &str = "hooks.example.com";
/// For what must not come.
const SHORT: Duration = Duration::from_millis(300);

fn message() -> Message {
    let (id, signatures) = ("evt_1".to_owned(), "v1,abc v1,def".to_owned());
    Message { id, timestamp: NOW.unix_seconds(), signatures, body: Bytes::from_static(b"{\"type\":\"x\"}") }
}

async fn sender(zone: Zone, allowed: &[&str], root: Option<&str>) -> Sender {
    let allowed = allowed.iter().map(|block| block.parse().expect("a block")).collect();
    let policy = AddressPolicy { allowed, expected: Vec::new() };
    let resolver = world::resolver([("*", zone)]).await;
    Sender::new(Arc::new(resolver), Arc::new(policy), root).expect("a sender")
}

/// Answers every request with `answer`, and counts connections. What was asked last is kept.
async fn receiver(ip: &str, answer: String) -> (SocketAddr, Arc<AtomicUsize>, Arc<std::sync::Mutex<String>>) {
    let listener = TcpListener::bind((ip, 0)).await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let (count, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(std::sync::Mutex::new(String::new())));
    let (counted, kept) = (Arc::clone(&count), Arc::clone(&asked));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            *kept.lock().expect("kept") = request(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.expect("answered");
            if answer.is_empty() {
                std::future::pending::<()>().await;
            }
        }
    });
    (address, count, asked)
}

/// Head and body.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"{\"type\":\"x\"}") {
        let mut buffer = [0; 1024];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => read.extend_from_slice(&buffer[..count]),
        }
    }
    String::from_utf8_lossy(&read).to_lowercase()
}

fn plain(address: SocketAddr, sender: &Sender) -> Receiver {
    Receiver::parse(&format!("http://{address}/hooks?x=1"), sender.policy()).expect("allowed")
}

#[tokio::test]
async fn a_message_arrives_with_all_that_its_receiver_checks() {
    let (address, _, asked) = receiver("127.0.0.1", "HTTP/1.1 204 No Content\r\n\r\n".to_owned()).await;
    let sender = sender(Zone::NoData, &["127.0.0.0/8"], None).await;
    let reply = sender.send(&plain(address, &sender), &message(), NOW).await;
    let expected = Reply { outcome: Outcome::Delivered, status: Some(204), retry_after: None, detail: None };
    assert_eq!(reply, expected);
    let asked = asked.lock().expect("kept").clone();
    for line in [
        "post /hooks?x=1 http/1.1\r\n",
        &format!("host: {address}\r\n"),
        "content-type: application/json\r\n",
        "webhook-id: evt_1\r\n",
        "webhook-timestamp: 1795248235\r\n",
        "webhook-signature: v1,abc v1,def\r\n",
        "content-length: 12\r\n",
    ] {
        assert!(asked.contains(line), "{line:?} is not in {asked}");
    }
}

#[tokio::test]
async fn what_is_answered_is_told_apart_and_bounded() {
    let sender = Sender { timeout: SHORT, ..sender(Zone::NoData, &["127.0.0.0/8"], None).await };
    let endless = format!("HTTP/1.1 200 OK\r\ncontent-length: 9999999\r\n\r\n{}", "x".repeat(BODY_BYTES_MAX));
    let huge = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(2 * HEAD_BYTES_MAX));
    for (answer, outcome, status) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Outcome::Delivered, Some(200)),
        ("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", Outcome::Gone, Some(410)),
        ("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", Outcome::Refused, Some(500)),
        ("HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", Outcome::Refused, Some(302)),
        ("SSH-2.0-OpenSSH_9.2\r\n", Outcome::Unreachable, None),
        ("", Outcome::Timeout, None),
        (endless.as_str(), Outcome::Delivered, Some(200)),
        (huge.as_str(), Outcome::Unreachable, None),
    ] {
        let (address, ..) = receiver("127.0.0.1", answer.to_owned()).await;
        let reply = sender.send(&plain(address, &sender), &message(), NOW).await;
        assert_eq!((reply.outcome, reply.status), (outcome, status), "{reply:?}");
    }
    let wait = "HTTP/1.1 503 Busy\r\nretry-after: 120\r\ncontent-length: 0\r\n\r\n";
    let (address, ..) = receiver("127.0.0.1", wait.to_owned()).await;
    let reply = sender.send(&plain(address, &sender), &message(), NOW).await;
    assert_eq!(reply.retry_after, Some(Duration::from_mins(2)));
}

/// Whatever its DNS says, nothing inside is connected to.
#[tokio::test]
async fn no_record_leads_inside() {
    let (address, count, _) = receiver("127.0.0.1", String::new()).await;
    for record in INSIDE_RECORDS {
        for beside in [&[][..], &["127.0.0.11"]] {
            let zone = Zone::at(&[record, beside].concat());
            let sender = sender(zone, &["127.0.0.11"], None).await;
            let url = format!("https://{NAME}:{}/", address.port());
            let receiver = Receiver::parse(&url, sender.policy()).expect("a name is a name");
            let reply = sender.send(&receiver, &message(), NOW).await;
            assert_eq!(reply.outcome, Outcome::Forbidden, "{record:?} {beside:?}: {reply:?}");
        }
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

/// Neither does a URL, in whatever spelling, nor an answer that redirects there.
#[tokio::test]
async fn no_url_and_no_redirect_leads_inside() {
    let (inside, count, _) = receiver("127.0.1.1", String::new()).await;
    let (outside, asked, _) = receiver(
        "127.0.0.11",
        format!("HTTP/1.1 307 Elsewhere\r\nlocation: http://{inside}/\r\ncontent-length: 0\r\n\r\n"),
    )
    .await;
    let sender = sender(Zone::at(&["127.0.1.1"]), &["127.0.0.11"], None).await;
    for url in INSIDE_URLS {
        for url in [url.to_owned(), url.replace("http://", "https://")] {
            if let Ok(receiver) = Receiver::parse(&url, sender.policy()) {
                let reply = sender.send(&receiver, &message(), NOW).await;
                assert_eq!(reply.outcome, Outcome::Forbidden, "{url}: {reply:?}");
            }
        }
    }
    let reply = sender.send(&plain(outside, &sender), &message(), NOW).await;
    assert_eq!((reply.outcome, reply.status), (Outcome::Refused, Some(307)));
    assert_eq!((asked.load(Ordering::SeqCst), count.load(Ordering::SeqCst)), (1, 0));
}

/// A name that is answered otherwise the second time: what was checked is what is connected to.
#[tokio::test]
async fn a_name_that_changes_its_address_in_between_leads_nowhere_else() {
    let (inside, count, _) = receiver("127.0.1.1", String::new()).await;
    let addresses = ["127.0.0.11", "127.0.1.1"].map(|text| text.parse().expect("an address"));
    let zone = Zone::Rebinding(Arc::default(), addresses);
    let sender = sender(zone, &["127.0.0.11"], None).await;
    let receiver =
        Receiver::parse(&format!("https://{NAME}:{}/", inside.port()), sender.policy()).expect("a name");
    let first = sender.send(&receiver, &message(), NOW).await;
    assert_eq!(first.outcome, Outcome::Unreachable, "nobody listens at what was checked: {first:?}");
    let second = sender.send(&receiver, &message(), NOW).await;
    assert_eq!(second.outcome, Outcome::Forbidden, "{second:?}");
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

/// A root, and a receiver that has a certificate of it for `name`.
async fn encrypted(name: &str) -> (SocketAddr, String) {
    let root_key = KeyPair::generate().expect("a key");
    let mut root = CertificateParams::new(Vec::new()).expect("parameters");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_certificate = root.self_signed(&root_key).expect("a root");
    let key = KeyPair::generate().expect("a key");
    let issuer = Issuer::new(root, root_key);
    let leaf = CertificateParams::new(vec![name.to_owned()])
        .expect("a name")
        .signed_by(&key, &issuer)
        .expect("signed");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .expect("its key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("answered");
        }
    });
    (address, root_certificate.pem())
}

#[tokio::test]
async fn it_is_told_to_whom_the_url_names_or_to_nobody() {
    for (name, trusted, outcome) in [
        (NAME, true, Outcome::Delivered),
        (NAME, false, Outcome::Tls),
        ("other.example.com", true, Outcome::Tls),
    ] {
        let (address, root) = encrypted(name).await;
        let sender = sender(Zone::at(&["127.0.0.1"]), &["127.0.0.1"], trusted.then_some(&root)).await;
        let url = format!("https://{NAME}:{}/", address.port());
        let receiver = Receiver::parse(&url, sender.policy()).expect("a name");
        let reply = sender.send(&receiver, &message(), NOW).await;
        assert_eq!(reply.outcome, outcome, "{name}, {trusted}: {reply:?}");
    }
}

#[test]
fn the_wish_for_patience_is_read_in_both_forms() {
    let wait = |text: &'static str| {
        retry_after(&HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]), NOW)
    };
    assert_eq!(wait("34"), Some(Duration::from_secs(34)));
    assert_eq!(wait("Sat, 21 Nov 2026 08:04:29 GMT"), Some(Duration::from_secs(34)));
    assert_eq!((wait("soon"), wait("-1"), wait("")), (None, None, None));
    assert_eq!(retry_after(&HeaderMap::new(), NOW), None);
}
