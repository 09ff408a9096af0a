//! A way to the CA that can be made to answer nonsense: what a proxy in front of a CA does on a bad day.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use lockkeeper::acme::transport::{Exchange, HyperTransport};
use lockkeeper::acme::{AcmeError, Endpoint, Transport};

/// Requests reach the CA, unless they are among those that get nonsense.
#[derive(Debug)]
pub struct FlakyTransport {
    inner: HyperTransport,
    nonsense_left: AtomicU64,
}

impl FlakyTransport {
    pub fn new() -> Result<Arc<Self>, AcmeError> {
        let inner = HyperTransport::new(None, Duration::from_secs(5))?;
        Ok(Arc::new(Self { inner, nonsense_left: AtomicU64::new(0) }))
    }

    /// The next `requests` are answered 200 with a page in HTML, and never reach the CA.
    pub fn talk_nonsense(&self, requests: u64) {
        self.nonsense_left.store(requests, Ordering::SeqCst);
    }

    pub fn nonsense_left(&self) -> u64 {
        self.nonsense_left.load(Ordering::SeqCst)
    }
}

impl Transport for FlakyTransport {
    fn exchange(&self, endpoint: Endpoint, request: Request<Bytes>) -> Exchange<'_> {
        let taken = self
            .nonsense_left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_ok();
        if !taken {
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
