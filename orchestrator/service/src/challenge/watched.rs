//! A stream that remembers how the other side began to speak, if it ever did.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is kept of the first words: enough to know another server by.
const WORDS_BYTES_MAX: usize = 64;

/// The first words of the other side.
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<Vec<u8>>);

impl Heard {
    pub(super) fn anything(&self) -> bool {
        !self.words().is_empty()
    }

    /// The first line, or the beginning of it.
    pub(super) fn first_line(&self) -> String {
        let words = self.words();
        String::from_utf8_lossy(&words).lines().next().unwrap_or_default().to_owned()
    }

    /// A record of TLS (RFC 8446 §5.1): an alert, or a handshake.
    pub(super) fn is_tls(&self) -> bool {
        matches!(self.words().as_slice(), [21 | 22, 3, ..])
    }

    fn words(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, bytes: &[u8]) {
        let mut words = self.words();
        let room = WORDS_BYTES_MAX.saturating_sub(words.len());
        words.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// Tells a server that is silent from one that is slow, and one that speaks another protocol by its greeting.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    heard: Arc<Heard>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, heard: Arc<Heard>) -> Self {
        Self { stream, heard }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.heard.hear(&buffer.filled()[filled..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
