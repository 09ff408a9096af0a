//! From a DNS question to its answer, by the zone and its faults. No sockets in here.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CAA, CNAME, NS, SOA, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::fault::Fault;
use super::hits::DnsReply;
use super::zone::{Caa, Zone, canonical, without_underscores};
use super::{FIREWALLED_ADDRESS, REFUSING_ADDRESS, STRANGER_ADDRESS};

/// A longer chain is taken for a loop.
const ALIASES_MAX: usize = 8;
/// RFC 1035 §3.3: one character string of a TXT record.
const TXT_STRING_BYTES_MAX: usize = 255;
/// RFC 1035 §4.2.1, for a client without EDNS.
const UDP_BYTES_MIN: u16 = 512;
/// What DNS Flag Day 2020 asks for: no fragmentation anywhere.
pub(super) const UDP_BYTES_MAX: u16 = 1232;

/// Answers as the authority for every name there is. `None`: say nothing.
pub(super) fn answer(zone: &Zone, name_server: Ipv4Addr, request: &Message) -> Option<Message> {
    let mut response = Message::new(request.metadata.id, MessageType::Response, request.metadata.op_code);
    response.metadata = Metadata::response_from_request(&request.metadata);
    response.metadata.authoritative = true;
    // Stub resolvers ask us directly and some insist on it.
    response.metadata.recursion_available = true;
    response.queries.clone_from(&request.queries);
    if request.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_BYTES_MAX);
        response.set_edns(edns);
    }
    let [query] = request.queries.as_slice() else {
        response.metadata.response_code = ResponseCode::FormErr;
        return Some(response);
    };
    if request.metadata.op_code != OpCode::Query {
        response.metadata.response_code = ResponseCode::NotImp;
        return Some(response);
    }
    if query.query_class() != DNSClass::IN {
        response.metadata.response_code = ResponseCode::Refused;
        return Some(response);
    }
    let view = View { zone, name_server };
    let reply = view.fill(&mut response, query);
    if let Some(host) = zone.host(without_underscores(&canonical(&query.name().to_ascii()))) {
        host.note_dns(reply);
    }
    (reply != DnsReply::Silence).then_some(response)
}

/// How many bytes an answer over UDP may have.
pub(super) fn udp_bytes_max(request: &Message) -> usize {
    let asked = request.edns.as_ref().map_or(UDP_BYTES_MIN, Edns::max_payload);
    asked.clamp(UDP_BYTES_MIN, UDP_BYTES_MAX).into()
}

struct View<'zone> {
    zone: &'zone Zone,
    name_server: Ipv4Addr,
}

/// What one name of a chain says.
enum Link {
    Alias(Name),
    Records(Vec<RData>),
    NoData,
    Nxdomain,
    Servfail,
    Silence,
}

impl View<'_> {
    fn fill(&self, response: &mut Message, query: &Query) -> DnsReply {
        // The first owner is the question's own spelling: a resolver that mixes cases (0x20) compares it.
        let mut owner = query.name().clone();
        for _ in 0..=ALIASES_MAX {
            let name = canonical(&owner.to_ascii());
            match self.link(&name, query.query_type()) {
                Link::Alias(target) => {
                    response.add_answer(self.record(owner, RData::CNAME(CNAME(target.clone()))));
                    owner = target;
                }
                Link::Records(records) => {
                    for data in records {
                        response.add_answer(self.record(owner.clone(), data));
                    }
                    return DnsReply::Records(response.answers.len());
                }
                Link::NoData => {
                    response.add_authority(self.start_of_authority(&name));
                    return DnsReply::NoData;
                }
                Link::Nxdomain => {
                    response.metadata.response_code = ResponseCode::NXDomain;
                    response.add_authority(self.start_of_authority(&name));
                    return DnsReply::Nxdomain;
                }
                Link::Servfail => break,
                Link::Silence => return DnsReply::Silence,
            }
        }
        response.answers.clear();
        response.metadata.response_code = ResponseCode::ServFail;
        DnsReply::Servfail
    }

    fn link(&self, name: &str, query_type: RecordType) -> Link {
        let host = self.zone.host(without_underscores(name));
        let fault = host.as_ref().and_then(|host| host.fault());
        match fault {
            Some(Fault::Nxdomain) => return Link::Nxdomain,
            Some(Fault::Servfail) => return Link::Servfail,
            Some(Fault::DnsTimeout) => return Link::Silence,
            _ => {}
        }
        let records = self.zone.records(name).unwrap_or_default();
        if let Some(target) = records.cname {
            return match absolute(&target) {
                Ok(target) if query_type == RecordType::CNAME => {
                    Link::Records(vec![RData::CNAME(CNAME(target))])
                }
                Ok(target) => Link::Alias(target),
                Err(_) => Link::Servfail,
            };
        }
        let host = host.filter(|host| &*host.name == name);
        let found = match query_type {
            RecordType::A if self.zone.is_name_server(name) && host.is_none() => {
                vec![RData::A(A(self.name_server))]
            }
            RecordType::A => host.and_then(|host| address(host.address, fault)).into_iter().collect(),
            RecordType::AAAA if fault == Some(Fault::DeadIpv6) => {
                host.map(|_| RData::AAAA(AAAA(Ipv6Addr::LOCALHOST))).into_iter().collect()
            }
            RecordType::TXT => records.txt.iter().map(|value| text(value)).collect(),
            RecordType::CAA => records.caa.iter().map(authorization).collect(),
            RecordType::SOA if self.zone.apex_of(name) == Some(name) => {
                vec![self.start_of_authority(name).data]
            }
            RecordType::NS if self.zone.apex_of(name) == Some(name) => {
                absolute(&format!("ns1.{name}")).map(NS).map(RData::NS).into_iter().collect()
            }
            _ => Vec::new(),
        };
        if !found.is_empty() {
            Link::Records(found)
        } else if self.zone.exists(name) || self.zone.is_name_server(name) {
            Link::NoData
        } else {
            Link::Nxdomain
        }
    }

    /// The SOA record of the zone that holds the name; of the root, if none of ours does.
    fn start_of_authority(&self, name: &str) -> Record {
        let apex = self.zone.apex_of(name).and_then(|apex| absolute(apex).ok()).unwrap_or_else(Name::root);
        let below = |label: &str| apex.prepend_label(label).unwrap_or_else(|_| apex.clone());
        let ttl = self.zone.ttl_seconds;
        // Refresh, retry and expire are for secondaries, and there are none.
        let data = SOA::new(below("ns1"), below("hostmaster"), 1, 3600, 600, 86_400, ttl);
        self.record(apex.clone(), RData::SOA(data))
    }

    fn record(&self, owner: Name, data: RData) -> Record {
        Record::from_rdata(owner, self.zone.ttl_seconds, data)
    }
}

fn address(healthy: Ipv4Addr, fault: Option<Fault>) -> Option<RData> {
    let address = match fault {
        Some(Fault::NoAddress) => return None,
        Some(Fault::WrongAddress) => STRANGER_ADDRESS,
        Some(Fault::Refused) => REFUSING_ADDRESS,
        Some(Fault::ConnectTimeout) => FIREWALLED_ADDRESS,
        _ => healthy,
    };
    Some(RData::A(A(address)))
}

fn text(value: &str) -> RData {
    let mut strings: Vec<&[u8]> = value.as_bytes().chunks(TXT_STRING_BYTES_MAX).collect();
    if strings.is_empty() {
        strings.push(&[]);
    }
    RData::TXT(TXT::from_bytes(strings))
}

fn authorization(caa: &Caa) -> RData {
    let mut record = CAA::new_issue(caa.critical, None, Vec::new());
    record.tag.clone_from(&caa.tag);
    record.value = caa.value.clone().into_bytes();
    RData::CAA(record)
}

fn absolute(name: &str) -> Result<Name, hickory_proto::ProtoError> {
    let mut name = Name::from_ascii(name)?;
    name.set_fqdn(true);
    Ok(name)
}
