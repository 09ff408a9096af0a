//! A web server that serves a folder: where the fleet's servers find what clients put into their webroot.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// Dropped, it stops.
#[derive(Debug)]
pub(super) struct Webroot {
    pub(super) address: SocketAddr,
    server: JoinHandle<()>,
}

impl Webroot {
    pub(super) async fn serve(folder: &Path) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let challenges: Arc<Path> = folder.join(CHALLENGES.trim_matches('/')).into();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&challenges)));
            }
        });
        Ok(Self { address, server })
    }
}

impl Drop for Webroot {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// One request a connection.
async fn answer(mut stream: TcpStream, challenges: Arc<Path>) {
    let (reader, mut writer) = stream.split();
    let mut lines = BufReader::new(reader).lines();
    let Ok(Some(request)) = lines.next_line().await else { return };
    while let Ok(Some(header)) = lines.next_line().await
        && !header.is_empty()
    {}
    let body = match token(&request) {
        Some(token) => tokio::fs::read(PathBuf::from(&*challenges).join(token)).await.ok(),
        None => None,
    };
    let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
    let body = body.unwrap_or_default();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // Whoever asked and is gone misses nothing.
    drop(writer.write_all(&[head.as_bytes(), &body].concat()).await);
}

fn token(request: &str) -> Option<&str> {
    let path = request.strip_prefix("GET ")?.split(' ').next()?;
    let token = path.strip_prefix(CHALLENGES)?;
    let is_plain = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    (is_plain && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tokens_are_read() {
        assert_eq!(token("GET /.well-known/acme-challenge/a-B_9 HTTP/1.1"), Some("a-B_9"));
        for other in ["/.well-known/acme-challenge/", "/.well-known/acme-challenge/../x", "/"] {
            assert_eq!(token(&format!("GET {other} HTTP/1.1")), None, "{other}");
        }
        assert_eq!(token("POST /.well-known/acme-challenge/a HTTP/1.1"), None);
    }
}
