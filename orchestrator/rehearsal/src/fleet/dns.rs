//! The DNS server: UDP and TCP on one port.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::answer::{Asked, Role, Transport, answer, udp_bytes_max};
use super::authority::{ServerFault, address_of};
use super::zone::Zone;

/// Tasks that read the one UDP socket, so that a slow answer does not hold the next question up.
const RECEIVERS: usize = 4;
/// A question of one name fits; what is longer is cut off and answered FORMERR.
const QUESTION_BYTES_MAX: usize = 1500;
/// RFC 7766 §6.2.3 leaves it to the server.
const TCP_IDLE_MAX: Duration = Duration::from_secs(30);
/// Ports tried until UDP and TCP have the same one.
const BIND_ATTEMPTS_MAX: usize = 32;

pub(super) struct DnsServer {
    udp: Arc<UdpSocket>,
    tcp: TcpListener,
    address: SocketAddr,
    /// Of an authoritative server; none: the resolver and the registry.
    number: Option<u8>,
}

impl DnsServer {
    /// The resolver, and so many authoritative servers on the same port.
    pub(super) async fn bind_all(wanted: SocketAddr, servers: u8) -> io::Result<(Self, Vec<Self>)> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match Self::bind_on_one_port(wanted, servers).await {
                Ok(bound) => return Ok(bound),
                Err(error) if wanted.port() != 0 || attempt == BIND_ATTEMPTS_MAX => return Err(error),
                Err(_) => {}
            }
        }
    }

    async fn bind_on_one_port(wanted: SocketAddr, servers: u8) -> io::Result<(Self, Vec<Self>)> {
        let resolver = Self::bind(wanted, None).await?;
        let port = resolver.address.port();
        let mut bound = Vec::with_capacity(servers.into());
        for number in 1..=servers {
            bound.push(Self::bind((address_of(number), port).into(), Some(number)).await?);
        }
        Ok((resolver, bound))
    }

    async fn bind(wanted: SocketAddr, number: Option<u8>) -> io::Result<Self> {
        let tcp = TcpListener::bind(wanted).await?;
        let address = tcp.local_addr()?;
        let udp = UdpSocket::bind(address).await?;
        Ok(Self { udp: Arc::new(udp), tcp, address, number })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn spawn(self, zone: &Arc<Zone>, tasks: &TaskTracker, stop: &CancellationToken) {
        let name_server = match self.address.ip() {
            IpAddr::V4(address) => address,
            IpAddr::V6(_) => Ipv4Addr::LOCALHOST,
        };
        let responder = Arc::new(Responder { zone: Arc::clone(zone), name_server, number: self.number });
        for _ in 0..RECEIVERS {
            let (udp, responder) = (Arc::clone(&self.udp), Arc::clone(&responder));
            tasks.spawn(
                stop.clone().run_until_cancelled_owned(async move { responder.serve_udp(&udp).await }),
            );
        }
        let (tcp, tasks_of_tcp, stop_of_tcp) = (self.tcp, tasks.clone(), stop.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(async move {
            responder.serve_tcp(&tcp, &tasks_of_tcp, &stop_of_tcp).await;
        }));
    }
}

struct Responder {
    zone: Arc<Zone>,
    name_server: Ipv4Addr,
    number: Option<u8>,
}

impl Responder {
    async fn serve_udp(&self, socket: &UdpSocket) {
        let mut buffer = [0; QUESTION_BYTES_MAX];
        loop {
            // An error here is an ICMP message about an earlier answer: of no concern to the next question.
            let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
            let Some(reply) = self.reply(&buffer[..length], Transport::Udp) else { continue };
            if let Err(error) = socket.send_to(&reply, from).await {
                debug!(client.address = %from, %error, "DNS answer to {from} not sent: {error}");
            }
        }
    }

    async fn serve_tcp(
        self: Arc<Self>,
        listener: &TcpListener,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) {
        loop {
            let Ok((stream, from)) = listener.accept().await else {
                // Out of file descriptors: they come back when others close theirs.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let responder = Arc::clone(&self);
            tasks.spawn(stop.clone().run_until_cancelled_owned(async move {
                if let Err(error) = responder.serve_connection(stream).await {
                    debug!(client.address = %from, %error, "DNS connection of {from} ended: {error}");
                }
            }));
        }
    }

    async fn serve_connection(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        loop {
            let length = match timeout(TCP_IDLE_MAX, stream.read_u16()).await {
                Ok(Ok(length)) => length,
                Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Ok(Err(error)) => return Err(error),
                Err(_) => return Ok(()),
            };
            let mut question = vec![0; length.into()];
            stream.read_exact(&mut question).await?;
            let Some(reply) = self.reply(&question, Transport::Tcp) else { continue };
            // One write, so that the length and the message share a segment.
            let length = u16::try_from(reply.len()).map_err(io::Error::other)?;
            stream.write_all(&[&length.to_be_bytes(), reply.as_slice()].concat()).await?;
        }
    }

    fn reply(&self, question: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let Ok(request) = Message::from_vec(question) else {
            let id = question.first_chunk().map(|id| u16::from_be_bytes(*id))?;
            return Message::error_msg(id, OpCode::Query, ResponseCode::FormErr).to_vec().ok();
        };
        if request.metadata.message_type == MessageType::Response {
            return None;
        }
        let fault = self.number.and_then(|number| self.zone.authority.fault(number));
        let role = match self.number {
            Some(number) => Role::Server(number),
            None if self.zone.authority.servers > 0 && !request.metadata.recursion_desired => Role::Registry,
            None => Role::Resolver,
        };
        let asked = Asked { role, name_server: self.name_server, transport, fault };
        let response = answer(&self.zone, &asked, &request)?;
        let bytes = response.to_vec().ok()?;
        let truncates = matches!(fault, Some(ServerFault::Truncates | ServerFault::TruncatesWithoutTcp));
        match transport {
            Transport::Udp if truncates => response.truncate().to_vec().ok(),
            Transport::Udp if bytes.len() > udp_bytes_max(&request) => response.truncate().to_vec().ok(),
            Transport::Udp | Transport::Tcp => Some(bytes),
        }
    }
}
