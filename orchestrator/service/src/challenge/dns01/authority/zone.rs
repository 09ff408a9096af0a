//! What our own zone says: RFC 1034 §4.3.2 for a zone with one level of names below its apex.

use std::net::IpAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA, HINFO, NS, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::super::record_name::{RecordName, RecordNameError};
use super::super::rfc2136::text;
use crate::config::AuthorityConfig;

/// Of records of challenges, and of the answer that there is none: whoever publishes is to be seen at once.
const CHALLENGE_TTL_SECONDS: u32 = 1;
/// Of what stays.
const ZONE_TTL_SECONDS: u32 = 3_600;
/// For secondaries, of which there are none: refresh, retry, expire.
const SOA_TIMES: (i32, i32, i32) = (3_600, 600, 86_400);

/// The zone as it is configured.
#[derive(Debug, Clone)]
pub struct OwnZone {
    apex: RecordName,
    contact: RecordName,
    name_servers: Vec<RecordName>,
    /// Of those name servers that lie in the zone.
    addresses: Vec<(RecordName, IpAddr)>,
}

/// Why the zone cannot be served as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum OwnZoneError {
    #[error("[authority] zone, name_servers, contact: {0}")]
    Name(#[from] RecordNameError),
    #[error("[authority] name_servers: name at least one, as the parent of the zone has them")]
    NoNameServer,
    #[error("[authority] addresses: {name} lies in the zone, and needs an address at its place in the list")]
    NoAddress { name: RecordName },
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    /// A name that is there whatever the database says.
    Known,
    /// A name whose records the database knows.
    Record(RecordName),
    /// A name below those: there is none.
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) code: ResponseCode,
    pub(super) authoritative: bool,
    pub(super) answers: Vec<Record>,
    pub(super) authorities: Vec<Record>,
    pub(super) additionals: Vec<Record>,
}

impl Answer {
    pub(super) fn error(code: ResponseCode) -> Self {
        Self { code, authoritative: false, answers: vec![], authorities: vec![], additionals: vec![] }
    }
}

impl OwnZone {
    /// `None` where no zone is served.
    pub fn of(config: &AuthorityConfig) -> Result<Option<Self>, OwnZoneError> {
        let Some(zone) = &config.zone else { return Ok(None) };
        let apex = RecordName::parse(zone)?;
        let name_servers: Vec<_> =
            config.name_servers.iter().map(|name| RecordName::parse(name)).collect::<Result<_, _>>()?;
        if name_servers.is_empty() {
            return Err(OwnZoneError::NoNameServer);
        }
        let mut addresses = Vec::new();
        for (place, name) in name_servers.iter().enumerate().filter(|(_, name)| name.is_in(&apex)) {
            let address = config.addresses.get(place);
            let address = address.ok_or_else(|| OwnZoneError::NoAddress { name: name.clone() })?;
            addresses.push((name.clone(), *address));
        }
        let contact = config.contact.clone().unwrap_or_else(|| format!("hostmaster.{zone}"));
        Ok(Some(Self { contact: RecordName::parse(&contact)?, apex, name_servers, addresses }))
    }

    pub fn apex(&self) -> &RecordName {
        &self.apex
    }

    /// What has to be known to answer; or the answer, where it is none of our names or a transfer.
    pub(super) fn question(&self, name: &Name, record_type: RecordType) -> Result<Question, Answer> {
        // A name that is none of ours by its letters is below the apex by its labels all the same.
        let mut apex = self.apex.to_dns();
        apex.set_fqdn(true);
        if !apex.zone_of(name) {
            return Err(Answer::error(ResponseCode::Refused));
        }
        if matches!(record_type, RecordType::AXFR | RecordType::IXFR) {
            return Err(Answer::error(ResponseCode::Refused));
        }
        let Ok(owner) = RecordName::from_dns(name) else { return Ok(Question::Nothing) };
        if owner == self.apex
            || self.addresses.iter().any(|(server, _)| *server == owner || server.is_in(&owner))
        {
            return Ok(Question::Known);
        }
        let labels = owner.labels_below(&self.apex).unwrap_or_default();
        Ok(if labels.contains('.') { Question::Nothing } else { Question::Record(owner) })
    }

    /// `texts`: what stands at the name, `None` where there is no such name.
    pub(super) fn answer(&self, asked: &Name, record_type: RecordType, texts: Option<&[String]>) -> Answer {
        let mut answer = Answer { authoritative: true, ..Answer::error(ResponseCode::NoError) };
        let Some(texts) = texts else {
            answer.code = ResponseCode::NXDomain;
            answer.authorities.push(self.soa(CHALLENGE_TTL_SECONDS));
            return answer;
        };
        let owner = RecordName::from_dns(asked).ok();
        let at_apex = owner.as_ref() == Some(&self.apex);
        // The question's own spelling comes back: a resolver that mixes cases (0x20) compares it.
        let record = |ttl, data| Record::from_rdata(asked.clone(), ttl, data);
        match record_type {
            RecordType::TXT => {
                answer.answers.extend(texts.iter().map(|value| record(CHALLENGE_TTL_SECONDS, text(value))));
            }
            RecordType::SOA if at_apex => answer.answers.push(self.soa(ZONE_TTL_SECONDS)),
            RecordType::NS if at_apex => {
                answer.answers.extend(self.servers().map(|server| record(ZONE_TTL_SECONDS, server)));
                answer.additionals.extend(self.glue());
            }
            RecordType::A | RecordType::AAAA => {
                let own = self.addresses.iter().filter(|(server, _)| Some(server) == owner.as_ref());
                let data = own.map(|(_, address)| address_data(*address));
                let wanted = data.filter(|data| data.record_type() == record_type);
                answer.answers.extend(wanted.map(|data| record(ZONE_TTL_SECONDS, data)));
            }
            // RFC 8482 §4.2: nobody needs all there is, but whoever wants to send much to somebody else.
            RecordType::ANY => {
                let data = RData::HINFO(HINFO::new("RFC8482".into(), String::new()));
                answer.answers.push(record(ZONE_TTL_SECONDS, data));
            }
            _ => {}
        }
        if answer.answers.is_empty() {
            answer.authorities.push(self.soa(CHALLENGE_TTL_SECONDS));
        }
        answer
    }

    /// RFC 2308 §3: how long "there is none" is remembered is the lesser of its TTL and its last field.
    fn soa(&self, ttl_seconds: u32) -> Record {
        let first = self.name_servers.first().unwrap_or(&self.apex);
        let (refresh, retry, expire) = SOA_TIMES;
        let data =
            SOA::new(first.to_dns(), self.contact.to_dns(), 1, refresh, retry, expire, CHALLENGE_TTL_SECONDS);
        Record::from_rdata(self.apex.to_dns(), ttl_seconds, RData::SOA(data))
    }

    fn servers(&self) -> impl Iterator<Item = RData> {
        self.name_servers.iter().map(|server| RData::NS(NS(server.to_dns())))
    }

    fn glue(&self) -> impl Iterator<Item = Record> {
        self.addresses.iter().map(|(server, address)| {
            Record::from_rdata(server.to_dns(), ZONE_TTL_SECONDS, address_data(*address))
        })
    }
}

fn address_data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    }
}

#[cfg(test)]
mod tests;
