//! Who has fetched what.

use issuance::time::{Clock, Timestamp};
use tokio::sync::mpsc;

use super::*;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);

#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }
}

async fn start_logged(trusted: &[&str]) -> (Running, mpsc::Receiver<Fetch>) {
    let (log, fetched) = FetchLog::new(Arc::new(Still));
    let trusted_proxies = trusted.iter().map(|block| block.parse().expect("a block")).collect();
    let config = ResponderConfig { trusted_proxies, ..short() };
    (start_logging(one_response(), config, Some(log)).await, fetched)
}

#[tokio::test]
async fn each_fetch_of_a_response_is_written_down_and_nothing_else_is() {
    let (running, mut fetched) = start_logged(&[]).await;
    let path = target(TOKEN);
    running
        .exchange(&format!(
            "GET {path} HTTP/1.1\r\nHost: www.shop.com\r\nUser-Agent: CA/1\r\nX-Forwarded-For: 8.8.8.8\r\nConnection: close\r\n\r\n"
        ))
        .await;
    running.request("HEAD", &path).await;
    running.request("POST", &path).await;
    running.request("GET", &target("AAAAAAAAAAAAAAAAAAAAAA")).await;
    running.request("POST", &target("AAAAAAAAAAAAAAAAAAAAAA")).await;
    running.request("GET", &target(&draw_token())).await;
    running.request("GET", "/").await;
    let first = fetched.try_recv().expect("the GET");
    let expected = Fetch {
        order: ORDER,
        token: TOKEN.into(),
        at: NOW,
        source: Ipv4Addr::LOCALHOST.into(),
        method: "GET",
        host: Some("www.shop.com".into()),
        user_agent: Some("CA/1".into()),
        status: 200,
        own: false,
    };
    assert_eq!(first, expected);
    let second = fetched.try_recv().expect("the HEAD");
    assert_eq!((second.method, second.status, second.user_agent), ("HEAD", 200, None));
    let third = fetched.try_recv().expect("the POST");
    assert_eq!((third.method, third.status), ("other", 405));
    assert!(fetched.try_recv().is_err(), "nothing belongs to an order but these");
}

#[tokio::test]
async fn a_trusted_proxy_says_who_asked_and_a_signature_says_it_was_us() {
    let (running, mut fetched) = start_logged(&["127.0.0.0/8"]).await;
    let path = target(TOKEN);
    let marks = [
        (secret().sign_look(TOKEN), true),
        (secret().sign_look("AAAAAAAAAAAAAAAAAAAAAA"), false),
        (HeaderValue::from_static("x"), false),
    ];
    for (mark, own) in marks {
        let mark = mark.to_str().expect("ASCII").to_owned();
        running
            .exchange(&format!(
                "GET {path} HTTP/1.1\r\nX-Forwarded-For: 1.2.3.4, 203.0.113.9\r\nLockkeeper-Look: {mark}\r\nConnection: close\r\n\r\n"
            ))
            .await;
        let fetch = fetched.try_recv().expect("a fetch");
        assert_eq!((fetch.source.to_string().as_str(), fetch.own), ("203.0.113.9", own), "{mark}");
    }
    let probe = draw_token();
    assert_ne!(
        secret().answer(&probe),
        format!("{probe}.{}", secret().sign_look(&probe).to_str().expect("ASCII"))
    );
}

#[tokio::test]
async fn what_is_kept_of_a_stranger_is_bounded() {
    let (running, mut fetched) = start_logged(&[]).await;
    let path = target(TOKEN);
    let agent = format!("\u{1b}[31m{}\u{7f}", "x".repeat(1_000));
    let host = "h".repeat(2_000);
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}ü\r\nConnection: close\r\n\r\n");
    let answer = running.exchange(&request).await;
    if answer.starts_with("HTTP/1.1 200") {
        let fetch = fetched.try_recv().expect("a fetch");
        let agent = fetch.user_agent.expect("one");
        assert!(agent.len() == 200 && agent.chars().all(|c| c.is_ascii_graphic()), "{agent}");
        assert_eq!(fetch.host.expect("one").len(), 253);
    }
    let get = format!("GET {path} HTTP/1.1\r\nHost: a.com\r\n\r\n");
    running.exchange(&(get.repeat(500) + &get.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))).await;
    let mut kept = 0;
    while fetched.try_recv().is_ok() {
        kept += 1;
    }
    assert!((FETCHES_PER_ORDER_MAX - 1..=FETCHES_PER_ORDER_MAX).contains(&kept), "{kept}");
    // There is room for our own looks still, as there would be for others beside many looks.
    let mark = secret().sign_look(TOKEN);
    let mark = mark.to_str().expect("ASCII");
    running
        .exchange(&format!("GET {path} HTTP/1.1\r\nLockkeeper-Look: {mark}\r\nConnection: close\r\n\r\n"))
        .await;
    assert!(fetched.try_recv().expect("our look").own);
}
