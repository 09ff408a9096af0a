//! What was fetched, and by whom: handed over by the responder, and written by somebody else who has the time.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::header::{HOST, HeaderName, USER_AGENT};
use http::{HeaderMap, Method, StatusCode};
use issuance::ids::OrderId;
use issuance::time::{Clock, Timestamp};
use metrics::{Counter, counter, describe_counter};
use tokio::sync::mpsc;

use super::board::Posted;

const FETCHES: &str = "lockkeeper_responder_fetches_total";

/// Kept of one order, and as many looks of our own; whoever asks more often than that has been seen.
pub const FETCHES_PER_ORDER_MAX: u32 = 100;
/// Not written yet. What comes while that many wait is counted, and not kept.
const WAITING_MAX: usize = 4096;
const HOST_CHARACTERS_MAX: usize = 253;
const AGENT_CHARACTERS_MAX: usize = 200;

/// One request for the response of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    pub order: OrderId,
    pub token: Box<str>,
    pub at: Timestamp,
    pub source: IpAddr,
    /// `GET`, `HEAD`, or `other`.
    pub method: &'static str,
    /// As the client named it: at most 253 characters, all of them printable ASCII.
    pub host: Option<Box<str>>,
    /// At most 200 characters, all of them printable ASCII.
    pub user_agent: Option<Box<str>>,
    /// What it got.
    pub status: u16,
    /// Our own look before a challenge is submitted.
    pub own: bool,
}

/// Where the responder writes down what was fetched. Never waits.
#[derive(Debug)]
pub struct FetchLog {
    clock: Arc<dyn Clock>,
    counter: mpsc::Sender<Fetch>,
    kept: Counter,
    surplus: Counter,
    dropped: Counter,
}

/// What a fetch is told by.
pub(super) struct Request<'a> {
    pub(super) token: &'a str,
    pub(super) method: &'a Method,
    pub(super) headers: &'a HeaderMap,
    pub(super) source: IpAddr,
    pub(super) own: bool,
}

impl FetchLog {
    /// And where it is read.
    pub fn new(clock: Arc<dyn Clock>) -> (Self, mpsc::Receiver<Fetch>) {
        let (counter, written) = mpsc::channel(WAITING_MAX);
        describe_counter!(FETCHES, "Requests for known responses, by whether they are written down.");
        let fetches = |result: &'static str| counter!(FETCHES, "result" => result);
        let log = Self {
            clock,
            counter,
            kept: fetches("kept"),
            surplus: fetches("surplus"),
            dropped: fetches("dropped"),
        };
        (log, written)
    }

    pub(super) fn note(&self, posted: &Posted, request: &Request<'_>, status: StatusCode) {
        // Looked at first: a flood does not even make the counter's line move between processors.
        let noted = if request.own { &posted.looks } else { &posted.fetches };
        if noted.load(Ordering::Relaxed) >= FETCHES_PER_ORDER_MAX
            || noted.fetch_add(1, Ordering::Relaxed) >= FETCHES_PER_ORDER_MAX
        {
            self.surplus.increment(1);
            return;
        }
        let fetch = Fetch {
            order: posted.order,
            token: request.token.into(),
            at: self.clock.now(),
            source: request.source,
            method: match *request.method {
                Method::GET => "GET",
                Method::HEAD => "HEAD",
                _ => "other",
            },
            host: shown(request.headers, HOST, HOST_CHARACTERS_MAX),
            user_agent: shown(request.headers, USER_AGENT, AGENT_CHARACTERS_MAX),
            status: status.as_u16(),
            own: request.own,
        };
        match self.counter.try_send(fetch) {
            Ok(()) => self.kept.increment(1),
            Err(_) => self.dropped.increment(1),
        }
    }
}

/// The printable beginning of a header, if there is any.
fn shown(headers: &HeaderMap, name: HeaderName, characters_max: usize) -> Option<Box<str>> {
    let bytes = headers.get(name)?.as_bytes();
    let printable = bytes.iter().filter(|byte| byte.is_ascii_graphic() || **byte == b' ');
    let text: String = printable.take(characters_max).map(|byte| char::from(*byte)).collect();
    (!text.is_empty()).then(|| text.into())
}
