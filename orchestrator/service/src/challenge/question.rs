//! One DNS question to one server, and its whole answer: flags, sections and all.
//!
//! A resolver hides what is looked for here: whether an answer is authoritative (AA), where a referral leads, what
//! one server of many says. So authoritative servers are asked directly, and never told to recurse.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::proto::op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// What DNS Flag Day 2020 asks for: no fragmentation anywhere.
const UDP_BYTES_MAX: u16 = 1232;
/// What is taken of an answer: room for a server that does not keep to that.
const ANSWER_BYTES_MAX: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// How a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// An authoritative server: no recursion.
    Directly,
    /// A recursive resolver that is told not to validate (CD, RFC 4035 §3.2.2).
    Unchecked,
}

/// How long and how often a server is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For one try.
    pub(super) timeout: Duration,
    /// Over UDP, where packets are lost; TCP is tried once.
    pub(super) tries: u8,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum AskFault {
    #[error("no answer in time")]
    Silent,
    #[error("nothing listens there")]
    Closed,
    /// This machine's way, not the server.
    #[error("no route from here")]
    NoRoute,
    #[error("the answer does not fit into UDP, and TCP gives none")]
    NoTcp,
    #[error("the answer cannot be read")]
    Malformed,
}

/// Asks over UDP, and over TCP where the answer does not fit (RFC 7766 §5).
pub(super) async fn ask(
    server: SocketAddr,
    name: &Name,
    record_type: RecordType,
    manner: Manner,
    patience: Patience,
) -> Result<Message, AskFault> {
    let answer = ask_over(Transport::Udp, server, name, record_type, manner, patience).await?;
    if answer.metadata.truncation {
        let whole = ask_over(Transport::Tcp, server, name, record_type, manner, patience).await;
        return whole.map_err(|_| AskFault::NoTcp);
    }
    Ok(answer)
}

pub(super) async fn ask_over(
    transport: Transport,
    server: SocketAddr,
    name: &Name,
    record_type: RecordType,
    manner: Manner,
    patience: Patience,
) -> Result<Message, AskFault> {
    let question = question(name, record_type, manner);
    let bytes = question.to_vec().map_err(|_| AskFault::Malformed)?;
    match transport {
        Transport::Tcp => {
            let answer = timeout(patience.timeout, over_tcp(server, &bytes)).await;
            let answer = answer.map_err(|_| AskFault::Silent)?.map_err(|error| of_io(&error))?;
            let answer = Message::from_vec(&answer).map_err(|_| AskFault::Malformed)?;
            if answers(&answer, &question) { Ok(answer) } else { Err(AskFault::Malformed) }
        }
        Transport::Udp => {
            let mut fault = AskFault::Silent;
            for _ in 0..patience.tries.max(1) {
                match timeout(patience.timeout, over_udp(server, &bytes, &question)).await {
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(error)) => fault = of_io(&error),
                    Err(_) => fault = AskFault::Silent,
                }
                if fault == AskFault::NoRoute {
                    break;
                }
            }
            Err(fault)
        }
    }
}

fn question(name: &Name, record_type: RecordType, manner: Manner) -> Message {
    let mut message = Message::new(rand::random(), MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = manner == Manner::Unchecked;
    message.metadata.checking_disabled = manner == Manner::Unchecked;
    message.add_query(Query::query(name.clone(), record_type));
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_BYTES_MAX);
    message.set_edns(edns);
    message
}

/// The answer to this question and not to another one. FORMERR may come without the question (RFC 6891 §7).
fn answers(answer: &Message, question: &Message) -> bool {
    let Metadata { id, message_type, response_code, .. } = answer.metadata;
    let same_question = match (answer.queries.as_slice(), question.queries.as_slice()) {
        ([of], [asked]) => of.name() == asked.name() && of.query_type() == asked.query_type(),
        ([], _) => response_code != ResponseCode::NoError,
        _ => false,
    };
    message_type == MessageType::Response && id == question.metadata.id && same_question
}

/// A socket for each question: a source port nobody can guess, and packets of other senders never arrive.
async fn over_udp(server: SocketAddr, bytes: &[u8], question: &Message) -> io::Result<Message> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(bytes).await?;
    let mut buffer = [0; ANSWER_BYTES_MAX];
    loop {
        let length = socket.recv(&mut buffer).await?;
        match Message::from_vec(&buffer[..length]) {
            Ok(answer) if answers(&answer, question) => return Ok(answer),
            // Not what was asked for, or nothing that can be read: whoever forges is not waited for less.
            Ok(_) | Err(_) => {}
        }
    }
}

async fn over_tcp(server: SocketAddr, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), bytes].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

fn of_io(error: &io::Error) -> AskFault {
    match error.kind() {
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable => AskFault::NoRoute,
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => {
            AskFault::Closed
        }
        _ => AskFault::Silent,
    }
}
