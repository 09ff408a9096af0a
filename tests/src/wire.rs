//! A TCP connection that fails as networks do: what passes is cut, lost or held at instants that nobody chose.
//!
//! It stands before a server that the service reaches by address, and can be led to another server, as a proxy or a
//! floating address would be when a standby takes over.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Shares of what passes, each from 0 to 1. A piece is what one read brings: mostly one message.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Weather {
    /// Pieces from the client that are lost with their connection, before the server sees them.
    pub request_lost: f64,
    /// Pieces from the server that are lost with their connection: what was asked has happened.
    pub answer_lost: f64,
    /// The same for the answer to a COMMIT that is a statement of its own.
    pub commit_lost: f64,
    /// Connections whose end is polite: the client reads an end of file and may still write.
    pub half_closed: f64,
    /// Pieces in either direction that are held for a moment.
    pub held: f64,
}

const PIECE_BYTES_MAX: usize = 16_384;
/// How long a piece is held.
const HELD_FOR: Duration = Duration::from_millis(700);
/// How a client ends a transaction in a simple query (PostgreSQL manual, "Message Formats").
const COMMIT: &[u8] = b"COMMIT\0";

#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Connections made before the last change are cut.
    cuts: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    upstream: Option<SocketAddr>,
    weather: Weather,
    chance: StdRng,
    /// Connections that the weather has cut.
    blows: u64,
}

/// What becomes of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Passes,
    Held,
    /// Both sides see a reset.
    Lost,
    /// The client sees an end of file.
    HalfClosed,
}

impl Wire {
    /// Two wires with one seed decide alike, piece for piece.
    pub async fn start(upstream: SocketAddr, seed: u64) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let chance = StdRng::seed_from_u64(seed);
        let state = State { upstream: Some(upstream), weather: Weather::default(), chance, blows: 0 };
        let shared = Arc::new(Shared { state: Mutex::new(state), cuts: watch::Sender::new(0) });
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (relay, connections, stopping) = (Arc::clone(&shared), tasks.clone(), stop.clone());
        tasks.spawn(async move {
            while let Some(Ok((client, _))) = stopping.run_until_cancelled(listener.accept()).await {
                let (relay, stopping) = (Arc::clone(&relay), stopping.clone());
                connections.spawn(async move {
                    stopping.run_until_cancelled(relay.carry(client)).await;
                });
            }
        });
        Ok(Self { address, shared, tasks, stop })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn set_weather(&self, weather: Weather) {
        self.shared.state().weather = weather;
    }

    /// How many connections the weather has ended.
    pub fn blows(&self) -> u64 {
        self.shared.state().blows
    }

    /// Resets every connection there is; new ones may come at once.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// New connections lead there, old ones are reset. `None`: they are turned away.
    pub fn lead_to(&self, upstream: Option<SocketAddr>) {
        self.shared.state().upstream = upstream;
        self.cut();
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn carry(self: Arc<Self>, mut client: TcpStream) {
        let mut cuts = self.cuts.subscribe();
        let upstream = self.state().upstream;
        let server = match upstream {
            Some(upstream) => TcpStream::connect(upstream).await,
            None => Err(io::ErrorKind::ConnectionRefused.into()),
        };
        let Ok(mut server) = server else { return reset(&client) };
        for stream in [&client, &server] {
            // Messages are small: waiting for more to send costs 40 ms each.
            let _ = stream.set_nodelay(true);
        }
        let fate = tokio::select! {
            fate = self.pass(&mut client, &mut server) => fate.unwrap_or(Fate::Passes),
            _ = cuts.changed() => Fate::Lost,
        };
        match fate {
            Fate::Lost => {
                reset(&client);
                reset(&server);
            }
            Fate::HalfClosed => {
                let _ = client.shutdown().await;
                reset(&server);
                // Until the client has understood.
                while client.read_buf(&mut Vec::with_capacity(4_096)).await.is_ok_and(|bytes| bytes > 0) {}
            }
            Fate::Passes | Fate::Held => {}
        }
    }

    /// Until one side ends the connection, or the weather does.
    async fn pass(&self, client: &mut TcpStream, server: &mut TcpStream) -> io::Result<Fate> {
        let (mut asked, mut answered) = (vec![0; PIECE_BYTES_MAX], vec![0; PIECE_BYTES_MAX]);
        let mut committing = false;
        loop {
            let (piece, to, fate) = tokio::select! {
                bytes = client.read(&mut asked) => {
                    let piece = &asked[..bytes?];
                    committing = piece.windows(COMMIT.len()).any(|part| part == COMMIT);
                    (piece, &mut *server, self.fate(|weather| weather.request_lost))
                }
                bytes = server.read(&mut answered) => {
                    let commit = std::mem::take(&mut committing);
                    let lost = |weather: &Weather| if commit { weather.commit_lost } else { weather.answer_lost };
                    (&answered[..bytes?], &mut *client, self.fate(lost))
                }
            };
            match fate {
                _ if piece.is_empty() => return Ok(Fate::Passes),
                Fate::Passes => {}
                Fate::Held => tokio::time::sleep(HELD_FOR).await,
                ended => return Ok(ended),
            }
            to.write_all(piece).await?;
        }
    }

    fn fate(&self, lost: impl Fn(&Weather) -> f64) -> Fate {
        let mut state = self.state();
        let weather = state.weather;
        if weather == Weather::default() {
            return Fate::Passes;
        }
        let draw: f64 = state.chance.random();
        let mut bound = lost(&weather);
        if draw < bound {
            state.blows += 1;
            return Fate::Lost;
        }
        bound += weather.half_closed;
        if draw < bound {
            state.blows += 1;
            return Fate::HalfClosed;
        }
        if draw < bound + weather.held { Fate::Held } else { Fate::Passes }
    }
}

/// The peer sees a reset, rather than an end, when the stream is dropped.
fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}
