//! Clients that want the responder to themselves.

use tokio::io::AsyncWrite;
use tokio::time::interval;

use super::*;

fn get(token: &str) -> String {
    format!("GET {} HTTP/1.1\r\nHost: a.com\r\n\r\n", target(token))
}

fn last_get(token: &str) -> String {
    format!("GET {} HTTP/1.1\r\nHost: a.com\r\nConnection: close\r\n\r\n", target(token))
}

/// An unknown token that looks like a CA's.
fn stranger(number: usize) -> String {
    format!("{number:043}")
}

#[tokio::test]
async fn slow_heads_take_no_seat_from_a_ca() {
    const SEATS: usize = 4;
    const SLOW: usize = 60;
    let config = ResponderConfig {
        connections_max: SEATS,
        // They would hold their seats for as long.
        header_timeout: Duration::from_mins(10),
        ..ResponderConfig::default()
    };
    let running = start_with(one_response(), config).await;
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let mut stream = running.connect().await;
        stream.write_all(b"GET /.well-known/acme-ch").await.expect("written");
        slow.push(stream);
    }
    for _ in 0..3 {
        let answered = timeout(PATIENCE, running.exchange(&last_get(TOKEN))).await.expect("in time");
        assert!(answered.ends_with(KEY_AUTHORIZATION), "{answered}");
    }
    // Those that came first have made room.
    for mut stream in slow.into_iter().take(SLOW - SEATS) {
        let mut rest = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("closed");
        assert!(ended.is_err() || rest.is_empty(), "{rest:?}");
    }
}

#[tokio::test]
async fn a_connection_in_use_outlives_those_that_say_nothing() {
    let config = ResponderConfig { connections_max: 3, ..ResponderConfig::default() };
    let running = start_with(one_response(), config).await;
    let mut used = running.connect().await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        used.write_all(get(TOKEN).as_bytes()).await.expect("written");
        let mut answer = Vec::new();
        while !answer.ends_with(KEY_AUTHORIZATION.as_bytes()) {
            let length = timeout(PATIENCE, used.read_buf(&mut answer)).await.expect("in time");
            assert_ne!(length.expect("an answer"), 0, "closed");
        }
        idle.push(running.connect().await);
    }
}

#[tokio::test]
async fn a_head_that_comes_a_byte_at_a_time_is_cut_off() {
    let running = start().await;
    let stream = running.connect().await;
    let (mut answers, mut requests) = stream.into_split();
    let dripping = async {
        let mut pace = interval(DEADLINE / 20);
        for byte in get(TOKEN).repeat(100).bytes() {
            pace.tick().await;
            if requests.write_all(&[byte]).await.is_err() {
                break;
            }
        }
    };
    let mut answer = Vec::new();
    let reading = async {
        // Cut off with a reset where it was still dripping.
        drop(answers.read_to_end(&mut answer).await);
    };
    timeout(PATIENCE, async {
        tokio::select! {
            () = dripping => panic!("it was let finish"),
            () = reading => {}
        }
    })
    .await
    .expect("cut off in time");
    assert!(!String::from_utf8_lossy(&answer).contains(KEY_AUTHORIZATION));
}

/// Writes until the other side takes no more.
async fn fill(stream: &mut (impl AsyncWrite + Unpin), request: &str) {
    let many = request.repeat(64);
    while let Ok(written) = timeout(DEADLINE, stream.write(many.as_bytes())).await {
        written.expect("written");
    }
}

#[tokio::test]
async fn who_does_not_read_its_answers_makes_room_and_holds_up_no_stop() {
    let config = ResponderConfig { connections_max: 1, ..short() };
    let running = start_with(one_response(), config).await;
    let mut deaf = running.connect().await;
    fill(&mut deaf, &get(TOKEN)).await;
    let answered = timeout(PATIENCE, running.exchange(&last_get(TOKEN))).await.expect("in time");
    assert!(answered.ends_with(KEY_AUTHORIZATION), "{answered}");
    let mut deaf = running.connect().await;
    fill(&mut deaf, &get(TOKEN)).await;
    running.stop.cancel();
    timeout(PATIENCE, running.ended).await.expect("ended in time").expect("ended well");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let running = start().await;
    let mut requests = String::new();
    for number in 0..50 {
        requests += &get(if number % 2 == 0 { TOKEN } else { "AAAAAAAAAAAAAAAAAAAAAA" });
    }
    requests += &last_get(TOKEN);
    let answers = running.exchange(&requests).await;
    let statuses: Vec<_> =
        answers.match_indices("HTTP/1.1 ").map(|(at, _)| &answers[at + 9..at + 12]).collect();
    let expected: Vec<_> = (0..51).map(|number| if number % 2 == 0 { "200" } else { "404" }).collect();
    assert_eq!(statuses, expected);
    assert_eq!(answers.matches(KEY_AUTHORIZATION).count(), 26);
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let running = start().await;
    let line = format!("GET /{} HTTP/1.1\r\nHost: a.com\r\n\r\n", "a".repeat(HEAD_BYTES_MAX));
    let one = format!("GET / HTTP/1.1\r\nHost: a.com\r\nX: {}\r\n\r\n", "y".repeat(HEAD_BYTES_MAX));
    let many = format!("GET / HTTP/1.1\r\nHost: a.com\r\n{}\r\n", "X: y\r\n".repeat(200));
    let endless = format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(HEAD_BYTES_MAX));
    for request in [line, one, many, endless] {
        let mut stream = running.connect().await;
        // It may be closed before all of it is written.
        drop(stream.write_all(request.as_bytes()).await);
        let mut answer = Vec::new();
        drop(timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("closed"));
        let answer = String::from_utf8_lossy(&answer);
        let refused =
            ["HTTP/1.1 431 ", "HTTP/1.1 414 ", "HTTP/1.1 400 "].iter().any(|head| answer.starts_with(head));
        assert!(refused || answer.is_empty(), "{answer}");
        assert!(!answer.contains("yyy") && !answer.contains("aaa"), "{answer}");
    }
    assert_eq!(running.shelf.asked.load(Ordering::SeqCst), 0);
}

/// What one side takes for a body and the other for a request.
#[tokio::test]
async fn a_body_is_never_taken_for_a_request() {
    let running = start().await;
    let hidden = last_get(TOKEN);
    let length = hidden.len();
    let head = format!("GET {} HTTP/1.1\r\nHost: a.com\r\n", target("AAAAAAAAAAAAAAAAAAAAAA"));
    let requests = [
        format!("{head}Content-Length: {length}\r\n\r\n{hidden}"),
        format!("{head}Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{hidden}\r\n0\r\n\r\n"),
        format!("{head}Content-Length: {length}\r\nContent-Length: 0\r\n\r\n{hidden}"),
        format!("{head}Content-Length: +{length}\r\n\r\n{hidden}"),
        format!("{head}Content-Length: 1000000000\r\n\r\n{hidden}"),
    ];
    for request in requests {
        let mut stream = running.connect().await;
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = Vec::new();
        drop(timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("closed"));
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.contains(KEY_AUTHORIZATION), "{request}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 200").count(), 0, "{request}: {answer}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_closed() {
    let running = start().await;
    let garbage: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello over TLS\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
    ];
    for bytes in garbage {
        let mut stream = running.connect().await;
        stream.write_all(bytes).await.expect("written");
        let mut answer = Vec::new();
        drop(timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("closed"));
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{bytes:?}");
    }
}

#[tokio::test]
async fn strangers_who_wait_for_the_database_leave_seats_to_those_who_need_none() {
    let running = start_with(Shelf { hangs: true, ..Shelf::default() }, ResponderConfig::default()).await;
    let known = Presented { order: ORDER, token: TOKEN.into(), key_authorization: KEY_AUTHORIZATION.into() };
    running.board.post(&[known]);
    let mut waiting = Vec::new();
    for number in 0..WAITING_MAX {
        let mut stream = running.connect().await;
        stream.write_all(get(&stranger(number)).as_bytes()).await.expect("written");
        waiting.push(stream);
    }
    // As soon as all places are taken, the next is told to come again at once.
    let crowded = async {
        loop {
            let mut stream = running.connect().await;
            stream.write_all(last_get(&stranger(999)).as_bytes()).await.expect("written");
            let mut answer = String::new();
            if timeout(DEADLINE, stream.read_to_string(&mut answer)).await.is_ok() {
                break answer;
            }
        }
    };
    let answer = timeout(PATIENCE, crowded).await.expect("in time");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after"), "{answer}");
    assert!(running.request("GET", &target(TOKEN)).await.ends_with(KEY_AUTHORIZATION));
}
