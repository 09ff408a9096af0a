//! A CA on loopback that answers from a script: what a real one does only on its worst days.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// What the server does with one request, once it has read it whole.
#[derive(Debug)]
pub enum Act {
    Answer {
        status: &'static str,
        /// Each with its line end.
        headers: String,
        body: Vec<u8>,
    },
    /// Announces more than it sends.
    Truncate,
    Reset,
    Stall,
}

impl Act {
    pub fn answer(status: &'static str, headers: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::Answer { status, headers: headers.into(), body: body.into() }
    }

    /// A refused nonce, with a fresh one.
    pub fn bad_nonce(fresh: &str) -> Self {
        let body = r#"{"type":"urn:ietf:params:acme:error:badNonce","detail":"unknown nonce","status":400}"#;
        Self::answer("400 Bad Request", &format!("Replay-Nonce: {fresh}\r\n"), body)
    }
}

#[derive(Debug, Default)]
struct Script {
    /// For everything but the directory and nonces, in order; when they are used up, the server stalls.
    acts: VecDeque<Act>,
    /// Method and path of every request, and the nonce it was signed with.
    seen: Vec<(String, Option<String>)>,
    nonces_given: u32,
    nonce_act: Option<Act>,
    closes: Option<watch::Sender<usize>>,
}

/// A CA over plain HTTP. The directory and nonces work by themselves, the rest is scripted.
#[derive(Debug)]
pub struct ScriptedCa {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    stop: CancellationToken,
    server: AbortOnDropHandle<()>,
}

impl ScriptedCa {
    pub async fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let script = Arc::new(Mutex::new(Script { acts: acts.into_iter().collect(), ..Script::default() }));
        let stop = CancellationToken::new();
        let (shared, stopping) = (Arc::clone(&script), stop.clone());
        let server = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Some(Ok((stream, _))) = stopping.run_until_cancelled(listener.accept()).await {
                connections.spawn(serve(stream, address, Arc::clone(&shared)));
            }
            drop(listener);
            connections.shutdown().await;
        });
        Self { address, script, stop, server: AbortOnDropHandle::new(server) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// Adds to the script.
    pub fn then(&self, act: Act) {
        lock(&self.script).acts.push_back(act);
    }

    /// For the next nonce asked for, in place of a nonce.
    pub fn next_nonce(&self, act: Act) {
        lock(&self.script).nonce_act = Some(act);
    }

    /// From now on closes the connection after each answer. The count is of connections that the client has closed
    /// as well.
    pub fn close_after_each_answer(&self) -> watch::Receiver<usize> {
        let (closing, closed) = watch::channel(0);
        lock(&self.script).closes = Some(closing);
        closed
    }

    /// How often a request such as `POST /new-order` came.
    pub fn count(&self, request: &str) -> usize {
        lock(&self.script).seen.iter().filter(|(seen, _)| seen == request).count()
    }

    /// The nonces such requests were signed with.
    pub fn nonces_of(&self, request: &str) -> Vec<String> {
        let script = lock(&self.script);
        let seen = script.seen.iter().filter(|(seen, _)| seen == request);
        seen.filter_map(|(_, nonce)| nonce.clone()).collect()
    }

    /// Stops listening and closes every connection; both are done when this returns.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        (&mut self.server).await.expect("the server ends");
    }
}

fn lock(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(mut stream: TcpStream, address: SocketAddr, script: Arc<Mutex<Script>>) {
    while let Some((line, body)) = read_request(&mut stream).await {
        let (act, closes) = {
            let mut script = lock(&script);
            script.seen.push((line.clone(), nonce_of(&body)));
            let act = match line.as_str() {
                "GET /dir" => Act::answer("200 OK", "", directory(address)),
                "HEAD /nonce" if script.nonce_act.is_some() => script.nonce_act.take().unwrap_or(Act::Stall),
                "HEAD /nonce" => {
                    script.nonces_given += 1;
                    Act::answer("200 OK", &format!("Replay-Nonce: given{}\r\n", script.nonces_given), "")
                }
                _ => script.acts.pop_front().unwrap_or(Act::Stall),
            };
            (act, script.closes.clone())
        };
        match act {
            Act::Answer { status, headers, body } => {
                let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
                if stream.write_all(&[head.as_bytes(), &body].concat()).await.is_err() {
                    return;
                }
                if let Some(closed) = closes {
                    let _ = stream.shutdown().await;
                    let _ = stream.read(&mut [0]).await;
                    closed.send_modify(|count| *count += 1);
                    return;
                }
            }
            Act::Truncate => {
                let _ = stream
                    .write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{\"status\":")
                    .await;
                return;
            }
            Act::Reset => return stream.set_zero_linger().expect("a socket"),
            Act::Stall => std::future::pending().await,
        }
    }
}

/// Method and path, and the body.
async fn read_request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let length =
        text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok());
    while bytes.len() < head + length.unwrap_or(0) {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let line = String::from_utf8_lossy(&bytes[..head]).lines().next()?.strip_suffix(" HTTP/1.1")?.to_owned();
    Some((line, bytes.split_off(head)))
}

fn nonce_of(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let header = BASE64_URL_SAFE_NO_PAD.decode(body["protected"].as_str()?).ok()?;
    Some(serde_json::from_slice::<serde_json::Value>(&header).ok()?["nonce"].as_str()?.to_owned())
}

fn directory(address: SocketAddr) -> Vec<u8> {
    let url = |path: &str| format!("http://{address}/{path}");
    serde_json::to_vec(&serde_json::json!({
        "newNonce": url("nonce"), "newAccount": url("new-account"), "newOrder": url("new-order"),
        "revokeCert": url("revoke"), "keyChange": url("key"), "renewalInfo": url("ari"),
    }))
    .expect("JSON")
}
