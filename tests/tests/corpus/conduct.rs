//! Web servers that do one thing, most of them wrongly.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// Between two bytes of a slow answer.
const DRIP: Duration = Duration::from_millis(500);
/// For stalled connections: longer than anybody waits for them.
const STALLS: Duration = Duration::from_mins(2);
const FRONT_PAGE: &str = "<!doctype html><title>Shop</title><h1>Welcome to our shop</h1>";

/// What a web server does with a request. In texts `{host}` and `{path}` are those of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conduct {
    /// Hands it to the responder.
    Forward,
    /// A page with this status.
    Status(&'static str),
    /// The site's front page, whatever was asked for.
    FrontPage,
    Body(&'static str),
    /// Status and location.
    Redirect(&'static str, &'static str),
    /// So many redirects to itself, then the responder.
    Hops(u8),
    /// The responder's answer with something around it.
    Wrapped(&'static str, &'static str),
    /// The responder's answer and so many spaces.
    Padded(usize),
    /// Announces more than it sends, and closes.
    Truncated,
    /// Reads the request, and closes.
    Close,
    /// Does not read it, and closes: the kernel resets the connection.
    Reset,
    Silent,
    Slow,
    /// Speaks first.
    Greeting(&'static str),
    /// Answers whatever comes as a server does that expects TLS: with an alert, in binary.
    TlsAlert,
    /// Nobody listens.
    Closed,
}

/// Serves until the test's runtime ends.
pub(crate) fn serve(listener: TcpListener, conduct: Conduct, responder: Arc<OnceLock<SocketAddr>>) {
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let responder = Arc::clone(&responder);
            tokio::spawn(async move {
                // Whoever asked may have had enough.
                let _ = answer(stream, conduct, &responder).await;
            });
        }
    });
}

async fn answer(mut stream: TcpStream, conduct: Conduct, responder: &OnceLock<SocketAddr>) -> io::Result<()> {
    match conduct {
        Conduct::Reset => return stream.readable().await,
        Conduct::Greeting(text) => {
            stream.write_all(text.as_bytes()).await?;
            read_head(&mut stream).await?;
            return Ok(());
        }
        _ => {}
    }
    let head = read_head(&mut stream).await?;
    let mut words = head.split(' ');
    let path = words.nth(1).unwrap_or("/");
    let host = head
        .lines()
        .find_map(|line| line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("host")));
    let host = host.map_or("", |(_, host)| host);
    let filled = |text: &str| text.replace("{host}", host).replace("{path}", path);
    let page = |status: &str, headers: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\nServer: shop\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    let text = match conduct {
        Conduct::Status(status) => page(status, "", "<h1>Sorry</h1>"),
        Conduct::FrontPage => page("200 OK", "Content-Type: text/html\r\n", FRONT_PAGE),
        Conduct::Body(body) => page("200 OK", "", &filled(body)),
        Conduct::Redirect(status, to) => page(status, &format!("Location: {}\r\n", filled(to)), ""),
        Conduct::Hops(hops) => {
            let hop: u8 = path.split_once("?hop=").and_then(|(_, hop)| hop.parse().ok()).unwrap_or(0);
            if hop == hops {
                let path = path.split('?').next().unwrap_or_default();
                page("200 OK", "", &fetch(responder, path, host).await?)
            } else {
                let path = path.split('?').next().unwrap_or_default();
                page("302 Found", &format!("Location: {path}?hop={}\r\n", hop + 1), "")
            }
        }
        Conduct::Forward => page("200 OK", "", &fetch(responder, path, host).await?),
        Conduct::Wrapped(before, after) => {
            page("200 OK", "", &format!("{before}{}{after}", fetch(responder, path, host).await?))
        }
        Conduct::Padded(spaces) => {
            page("200 OK", "", &format!("{}{}", fetch(responder, path, host).await?, " ".repeat(spaces)))
        }
        Conduct::Truncated => {
            let whole = page("200 OK", "", &fetch(responder, path, host).await?);
            whole[..whole.len() - 20].to_owned()
        }
        Conduct::Slow => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 120\r\n\r\n").await?;
            for _ in 0..120 {
                stream.write_all(b".").await?;
                sleep(DRIP).await;
            }
            return Ok(());
        }
        Conduct::TlsAlert => return stream.write_all(b"\x15\x03\x01\x00\x02\x02\x46").await,
        Conduct::Silent => {
            sleep(STALLS).await;
            return Ok(());
        }
        Conduct::Close | Conduct::Reset | Conduct::Greeting(_) | Conduct::Closed => return Ok(()),
    };
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}

/// What the responder says.
async fn fetch(responder: &OnceLock<SocketAddr>, path: &str, host: &str) -> io::Result<String> {
    let responder = responder.get().ok_or_else(|| io::Error::other("no responder yet"))?;
    let mut stream = TcpStream::connect(responder).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let (_, body) = answer.split_once("\r\n\r\n").ok_or_else(|| io::Error::other("no answer"))?;
    Ok(body.to_owned())
}

async fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer).await? {
            0 => break,
            length => head.extend_from_slice(&buffer[..length]),
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
