//! DNS UPDATE (RFC 2136), signed with TSIG (RFC 8945): one message for all changes of a zone, which the server makes all
//! or none.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType, TSigner};
use issuance::time::Clock;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::presenter::{Change, PresentError, Presenter};
use super::record_name::RecordName;

/// RFC 8945 §10: how far the clocks may be apart, in seconds.
const FUDGE_SECONDS: u16 = 300;
/// Names of one message: with two values each and a long name, far from the 64 KiB that one may have.
const CHANGES_MAX: usize = 50;

/// Sends to one primary server, over TCP: an answer that is lost is told from a server that is not there.
pub(super) struct Rfc2136 {
    server: SocketAddr,
    signer: Option<TSigner>,
    ttl_seconds: u32,
    /// The machine's: the server compares it with its own.
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Rfc2136 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rfc2136").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TsigKeyError {
    #[error("the key is not base64, as in the output of tsig-keygen")]
    Base64(#[source] base64::DecodeError),
    #[error("{name:?} is no name of a key")]
    Name { name: String },
    #[error("{algorithm:?} is not supported: use hmac-sha256, hmac-sha384 or hmac-sha512")]
    Algorithm { algorithm: String },
}

/// A TSIG key as BIND, Knot and `PowerDNS` write it.
pub(super) fn signer(name: &str, algorithm: &str, secret: &SecretString) -> Result<TSigner, TsigKeyError> {
    let key = STANDARD.decode(secret.expose_secret()).map_err(TsigKeyError::Base64)?;
    let key_name = Name::from_ascii(name).map_err(|_| TsigKeyError::Name { name: name.to_owned() })?;
    let unsupported = || TsigKeyError::Algorithm { algorithm: algorithm.to_owned() };
    let known = match algorithm {
        "hmac-sha256" => TsigAlgorithm::HmacSha256,
        "hmac-sha384" => TsigAlgorithm::HmacSha384,
        "hmac-sha512" => TsigAlgorithm::HmacSha512,
        _ => return Err(unsupported()),
    };
    TSigner::new(key, known, key_name, FUDGE_SECONDS).map_err(|_| unsupported())
}

impl Rfc2136 {
    pub(super) fn new(
        server: SocketAddr,
        signer: Option<TSigner>,
        ttl_seconds: u32,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { server, signer, ttl_seconds, clock }
    }

    async fn update(&self, zone: &RecordName, changes: &[Change]) -> Result<(), PresentError> {
        let mut message = update_message(zone, changes, self.ttl_seconds);
        let mut verifier = None;
        if let Some(signer) = &self.signer {
            let seconds = u64::try_from(self.clock.now().unix_micros() / 1_000_000).unwrap_or(0);
            let (signature, expected) =
                signer.sign_message(&message, seconds).map_err(PresentError::refused)?;
            message.set_signature(signature);
            verifier = expected;
        }
        let question = message.to_vec().map_err(PresentError::refused)?;
        let reply = self.exchange(&question).await.map_err(PresentError::unreachable)?;
        let answer = Message::from_vec(&reply).map_err(PresentError::unreachable)?;
        if answer.metadata.id != message.metadata.id || answer.metadata.message_type != MessageType::Response
        {
            return Err(PresentError::unreachable("the answer is to another question"));
        }
        // A server that does not know the key signs nothing; a refusal that anybody may have sent only delays us.
        let code = answer.metadata.response_code;
        if code != ResponseCode::NoError {
            return Err(PresentError::refused(explained(code, zone)));
        }
        if let Some(mut verifier) = verifier {
            let forged =
                |error| PresentError::refused(format!("the answer is not signed with our key: {error}"));
            verifier.verify(&reply).map(drop).map_err(forged)?;
        }
        Ok(())
    }

    async fn exchange(&self, question: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.server).await?;
        stream.set_nodelay(true)?;
        let length = u16::try_from(question.len()).map_err(std::io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
        let mut reply = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut reply).await?;
        Ok(reply)
    }
}

impl Presenter for Rfc2136 {
    fn names_max(&self) -> usize {
        CHANGES_MAX
    }

    fn write<'a>(
        &'a self,
        zone: &'a RecordName,
        changes: &'a [Change],
    ) -> BoxFuture<'a, Result<(), PresentError>> {
        async move {
            for some in changes.chunks(CHANGES_MAX) {
                self.update(zone, some).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

/// RFC 2136 §2.5.1 and §2.5.4: adding what is there and deleting what is not are both no errors.
fn update_message(zone: &RecordName, changes: &[Change], ttl_seconds: u32) -> Message {
    let mut message = Message::new(rand::random(), MessageType::Query, OpCode::Update);
    message.add_query(Query::query(zone.to_dns(), RecordType::SOA));
    for change in changes {
        let owner = change.owner.to_dns();
        for value in &change.remove {
            let mut gone = Record::from_rdata(owner.clone(), 0, text(value));
            gone.dns_class = DNSClass::NONE;
            message.add_authority(gone);
        }
        for value in &change.add {
            message.add_authority(Record::from_rdata(owner.clone(), ttl_seconds, text(value)));
        }
    }
    message
}

pub(super) fn text(value: &str) -> RData {
    RData::TXT(TXT::new(vec![value.to_owned()]))
}

fn explained(code: ResponseCode, zone: &RecordName) -> String {
    match code {
        ResponseCode::NotAuth => {
            format!("NOTAUTH: the server does not know the key, or is no primary of {zone}")
        }
        ResponseCode::Refused => format!("REFUSED: the server's policy does not let this key change {zone}"),
        ResponseCode::NotZone => format!("NOTZONE: a record lies outside {zone}"),
        ResponseCode::BADSIG | ResponseCode::BADKEY | ResponseCode::BADTIME => {
            format!("{code}: the key, its algorithm, or one of the clocks is wrong")
        }
        code => format!("the server answers {code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_holds_all_changes_of_a_zone() {
        let zone = RecordName::parse("shop.com").expect("a zone");
        let owner = RecordName::parse("_acme-challenge.shop.com").expect("a name");
        let change = Change { owner, add: vec!["a".into(), "b".into()], remove: vec!["c".into()] };
        let message = update_message(&zone, &[change], 60);
        let read = Message::from_vec(&message.to_vec().expect("bytes")).expect("a message");
        assert_eq!(read.metadata.op_code, OpCode::Update);
        assert_eq!(read.queries[0].query_type(), RecordType::SOA);
        let told: Vec<_> = read.authorities.iter().map(|one| (one.dns_class, one.ttl)).collect();
        assert_eq!(told, [(DNSClass::NONE, 0), (DNSClass::IN, 60), (DNSClass::IN, 60)]);
    }

    #[test]
    fn a_key_that_cannot_be_used_is_refused_with_the_reason() {
        let secret = |text: &str| SecretString::from(text);
        assert!(signer("acme-key", "hmac-sha256", &secret("c2VjcmV0")).is_ok());
        assert!(matches!(signer("k", "hmac-sha256", &secret("not base64!")), Err(TsigKeyError::Base64(_))));
        assert!(matches!(signer("k", "hmac-md5", &secret("c2VjcmV0")), Err(TsigKeyError::Algorithm { .. })));
        let error = signer("k", "hmac-md5", &secret("c2VjcmV0")).map(drop).expect_err("MD5");
        assert!(!format!("{error:?}").contains("c2VjcmV0"));
    }
}
