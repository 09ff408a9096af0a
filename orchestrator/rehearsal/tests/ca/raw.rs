//! One request over a connection of its own, and every byte that comes back, for what no HTTP library would show.

use std::io;

use rehearsal::ca::RehearsalCa;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::Client;

/// What came until the connection ended, and how it ended.
#[derive(Debug)]
pub(crate) struct Received {
    head: String,
    pub(crate) body: String,
    pub(crate) end: io::Result<()>,
}

impl Received {
    pub(crate) fn status(&self) -> u16 {
        let status = self.head.split(' ').nth(1).unwrap_or_else(|| panic!("no status in {:?}", self.head));
        status.parse().expect("a number")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn announced(&self) -> usize {
        self.header("content-length").expect("a length").parse().expect("a number")
    }

    /// Not one byte.
    pub(crate) fn is_nothing(&self) -> bool {
        self.head.is_empty() && self.body.is_empty()
    }
}

/// Posts, and reads until the end.
pub(crate) async fn post(ca: &RehearsalCa, client: &Client, path: &str, payload: &Value) -> Received {
    let body = client.sign(&client.protected(path).await, &payload.to_string());
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/jose+json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        ca.address(),
        body.len()
    );
    let mut stream = TcpStream::connect(ca.address()).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).await.map(drop);
    let text = String::from_utf8(bytes).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    Received { head: head.to_owned(), body: body.to_owned(), end }
}

/// The payload of a new order.
pub(crate) fn wants(name: &str) -> Value {
    serde_json::json!({ "identifiers": [{ "type": "dns", "value": name }] })
}
