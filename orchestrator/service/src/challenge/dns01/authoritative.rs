//! Asks the name servers of a zone themselves, so that no cache stands between, and none learns of a name before it is
//! there.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::record_name::RecordName;
use crate::challenge::address::AddressPolicy;
use crate::challenge::resolver::{NameResolver, ResolveFault};

/// How long one server has for one answer.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(2);
/// Over UDP a question or its answer may be lost.
const TRIES: usize = 2;
/// A zone with more addresses is asked at the first ones.
const SERVERS_MAX: usize = 32;
/// What DNS Flag Day 2020 asks for.
const UDP_BYTES_MAX: u16 = 1232;
/// An answer to a question about one name.
const ANSWER_BYTES_MAX: usize = 4096;

/// Finds and asks authoritative servers.
#[derive(Debug)]
pub struct Authorities {
    resolver: Arc<NameResolver>,
    policy: AddressPolicy,
    port: u16,
}

/// The servers of one zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneServers {
    pub zone: RecordName,
    /// At least one; each once.
    pub addresses: Vec<SocketAddr>,
}

/// Why a zone's servers cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneFault {
    #[error("no zone was found that holds {name}")]
    NoZone { name: RecordName },
    #[error("none of the name servers of {zone} has an address that may be asked")]
    NoServer { zone: RecordName },
    /// Ours, and no fault of the name.
    #[error("the configured DNS resolvers do not answer")]
    Resolver,
}

impl Authorities {
    pub fn new(resolver: Arc<NameResolver>, policy: AddressPolicy, port: u16) -> Self {
        Self { resolver, policy, port }
    }

    /// The servers of the zone that holds `name`: asked for at the name itself and then upwards, so that a cut is found
    /// wherever it is.
    pub async fn of(&self, name: &RecordName) -> Result<ZoneServers, ZoneFault> {
        // The name of the record is not asked for: that it does not exist yet is nothing a resolver should remember.
        let mut at = name.parent();
        while let Some(zone) = at {
            match self.resolver.name_servers_of(zone.as_str()).await {
                Ok(servers) if servers.is_empty() => {}
                Ok(servers) => return self.addresses_of(zone, &servers).await,
                Err(ResolveFault::Unreachable) => return Err(ZoneFault::Resolver),
                Err(_) => {}
            }
            at = zone.parent();
        }
        Err(ZoneFault::NoZone { name: name.clone() })
    }

    /// The servers of `zone` by their names.
    pub(super) async fn addresses_of(
        &self,
        zone: RecordName,
        servers: &[String],
    ) -> Result<ZoneServers, ZoneFault> {
        let mut addresses = BTreeSet::new();
        for server in servers {
            if let Ok(found) = self.resolver.lookup_name(server).await {
                addresses
                    .extend(found.iter().filter(|address| self.policy.check_reachable(*address).is_ok()));
            }
        }
        let addresses: Vec<_> = addresses
            .into_iter()
            .take(SERVERS_MAX)
            .map(|address| SocketAddr::new(address, self.port))
            .collect();
        if addresses.is_empty() {
            Err(ZoneFault::NoServer { zone })
        } else {
            Ok(ZoneServers { zone, addresses })
        }
    }

    /// One server's answer. `None`: none of use came in time.
    pub async fn ask(
        &self,
        server: SocketAddr,
        name: &RecordName,
        record_type: RecordType,
    ) -> Option<Message> {
        let mut question = Message::query();
        question.metadata.recursion_desired = false;
        question.add_query(Query::query(name.to_dns(), record_type));
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_BYTES_MAX);
        question.set_edns(edns);
        let bytes = question.to_vec().ok()?;
        for _ in 0..TRIES {
            let answer = timeout(ANSWER_WAIT_MAX, over_udp(server, &bytes, &question)).await;
            match answer.ok().flatten() {
                Some(answer) if answer.metadata.truncation => {
                    return timeout(ANSWER_WAIT_MAX, over_tcp(server, &bytes, &question)).await.ok()?;
                }
                Some(answer) => return Some(answer),
                None => {}
            }
        }
        timeout(ANSWER_WAIT_MAX, over_tcp(server, &bytes, &question)).await.ok()?
    }
}

async fn over_udp(server: SocketAddr, question: &[u8], asked: &Message) -> Option<Message> {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await.ok()?;
    // Only what comes from there is received at all.
    socket.connect(server).await.ok()?;
    socket.send(question).await.ok()?;
    let mut buffer = [0; ANSWER_BYTES_MAX];
    loop {
        let length = socket.recv(&mut buffer).await.ok()?;
        if let Some(answer) = answer_to(asked, &buffer[..length]) {
            return Some(answer);
        }
    }
}

async fn over_tcp(server: SocketAddr, question: &[u8], asked: &Message) -> Option<Message> {
    let mut stream = TcpStream::connect(server).await.ok()?;
    let length = u16::try_from(question.len()).ok()?;
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await.ok()?;
    let mut reply = vec![0; stream.read_u16().await.ok()?.into()];
    stream.read_exact(&mut reply).await.ok()?;
    answer_to(asked, &reply)
}

/// The bytes, if they are an answer to just that question.
fn answer_to(asked: &Message, bytes: &[u8]) -> Option<Message> {
    let answer = Message::from_vec(bytes).ok()?;
    let same = answer.metadata.message_type == MessageType::Response
        && answer.metadata.id == asked.metadata.id
        && answer.queries == asked.queries;
    same.then_some(answer)
}

/// What an answer says of the TXT records of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// Of the zone itself: these values, perhaps none.
    Texts(Vec<String>),
    /// It is an alias of this, whose own records may not be here.
    Alias(RecordName),
    /// Another zone holds it: its name servers.
    Referral { zone: RecordName, servers: Vec<String> },
    /// The server does not answer for the name.
    Lame(ResponseCode),
}

pub(super) fn told(answer: &Message, name: &RecordName) -> Told {
    let code = answer.metadata.response_code;
    if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return Told::Lame(code);
    }
    // A chain in the answer is followed as far as it goes.
    let mut owner = name.clone();
    for _ in 0..=answer.answers.len() {
        let next = answer.answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if RecordName::from_dns(&record.name).ok().as_ref() == Some(&owner) => {
                RecordName::from_dns(&target.0).ok()
            }
            _ => None,
        });
        match next {
            Some(target) => owner = target,
            None => break,
        }
    }
    if owner != *name {
        return Told::Alias(owner);
    }
    let texts = |record: &hickory_proto::rr::Record| match &record.data {
        RData::TXT(text) if RecordName::from_dns(&record.name).ok().as_ref() == Some(name) => {
            Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned())
        }
        _ => None,
    };
    if answer.metadata.authoritative {
        return Told::Texts(answer.answers.iter().filter_map(texts).collect());
    }
    let mut servers = Vec::new();
    let mut zone = None;
    for record in &answer.authorities {
        if let (RData::NS(server), Ok(cut)) = (&record.data, RecordName::from_dns(&record.name))
            && name.is_in(&cut)
        {
            servers.push(server.0.to_ascii());
            zone = Some(cut);
        }
    }
    match zone {
        Some(zone) => Told::Referral { zone, servers },
        None => Told::Lame(code),
    }
}
