//! A way to the CA that can be made to answer nonsense: what a proxy in front of a CA does on a bad day.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use lockkeeper::acme::transport::{Exchange, HyperTransport};
use lockkeeper::acme::{AcmeError, Endpoint, Transport};

/// Requests reach the CA, but for a stretch of them.
#[derive(Debug)]
pub struct FlakyTransport {
    inner: HyperTransport,
    requests: AtomicU64,
    nonsense: Range<u64>,
}

impl FlakyTransport {
    /// The requests with these numbers, counted from 0, are answered 200 with a page in HTML, and never reach the CA.
    pub fn new(nonsense: Range<u64>) -> Result<Arc<Self>, AcmeError> {
        let inner = HyperTransport::new(None, Duration::from_secs(5))?;
        Ok(Arc::new(Self { inner, requests: AtomicU64::new(0), nonsense }))
    }

    /// How many requests there were.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Transport for FlakyTransport {
    fn exchange(&self, endpoint: Endpoint, request: Request<Bytes>) -> Exchange<'_> {
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        if !self.nonsense.contains(&number) {
            return self.inner.exchange(endpoint, request);
        }
        Box::pin(async {
            let mut page =
                Response::new(Bytes::from_static(b"<html><h1>We will be back shortly</h1></html>"));
            page.headers_mut()
                .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/html"));
            Ok(page)
        })
    }
}
