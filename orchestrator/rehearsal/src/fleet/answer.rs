//! From a DNS question to its answer, by the zone and its faults. No sockets in here.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CAA, CNAME, NS, NULL, SOA, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::authority::{Published, ServerFault, address_of};
use super::fault::Fault;
use super::hits::DnsReply;
use super::zone::{Caa, Records, TypeFault, Zone, canonical, without_underscores};
use super::{FIREWALLED_ADDRESS, REFUSING_ADDRESS, STRANGER_ADDRESS};

/// A longer chain is taken for a loop.
const ALIASES_MAX: usize = 8;
/// The first label of a registry's server.
const REGISTRY: &str = "registry";
/// RFC 1035 §3.3: one character string of a TXT record.
const TXT_STRING_BYTES_MAX: usize = 255;
/// RFC 1035 §4.2.1, for a client without EDNS.
const UDP_BYTES_MIN: u16 = 512;
/// What DNS Flag Day 2020 asks for: no fragmentation anywhere.
pub(super) const UDP_BYTES_MAX: u16 = 1232;

/// Which part the server that was asked plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Knows every name there is, as a resolver that caches nothing; and is the authority for all of them where
    /// there are no other servers.
    Resolver,
    /// Serves what is above the registered domains, and refers to their servers.
    Registry,
    /// Serves the zones it is planned for.
    Server(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// The server that was asked, and how.
pub(super) struct Asked {
    pub(super) role: Role,
    pub(super) name_server: Ipv4Addr,
    pub(super) transport: Transport,
    pub(super) fault: Option<ServerFault>,
}

/// Answers as the part of the server demands. `None`: say nothing.
pub(super) fn answer(zone: &Zone, asked: &Asked, request: &Message) -> Option<Message> {
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
    let view = View { zone, asked, checks: !request.metadata.checking_disabled };
    let reply = view.reply(&mut response, query)?;
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
    asked: &'zone Asked,
    /// The question does not forbid to validate.
    checks: bool,
}

/// What one name of a chain says.
enum Link {
    Alias(Name),
    Records(Vec<RData>),
    NoData,
    Nxdomain,
    Error(ResponseCode),
    Silence,
    /// Another server's.
    Elsewhere,
}

impl View<'_> {
    fn reply(&self, response: &mut Message, query: &Query) -> Option<DnsReply> {
        use ServerFault as F;
        let name = canonical(&query.name().to_ascii());
        let code = match (self.asked.fault, self.asked.transport) {
            (Some(F::Silent), _) | (Some(F::NoTcp | F::TruncatesWithoutTcp), Transport::Tcp) => return None,
            (Some(F::Refused), _) => Some(ResponseCode::Refused),
            (Some(F::Servfail), _) => Some(ResponseCode::ServFail),
            _ => None,
        };
        if let Some(code) = code {
            response.metadata.response_code = code;
            return Some(DnsReply::Servfail);
        }
        match self.asked.role {
            Role::Resolver => {
                self.zone
                    .authority
                    .note_question(&name, self.zone.records(&name).map(|found| found.txt).as_ref());
                let apex = self.zone.apex_of(&name);
                let broken = apex.is_some_and(|apex| {
                    !self.zone.authority.is_reachable(apex)
                        || (self.checks && self.zone.authority.plan(apex).bogus)
                });
                if broken {
                    response.metadata.response_code = ResponseCode::ServFail;
                    return Some(DnsReply::Servfail);
                }
            }
            Role::Registry => {
                response.metadata.recursion_available = false;
                if let Some(domain) = self.zone.apexes_of(&name).last() {
                    return Some(self.refer(response, domain));
                }
            }
            Role::Server(number) => {
                response.metadata.recursion_available = false;
                response.metadata.authoritative = self.asked.fault != Some(F::NotAuthoritative);
                let zones = self.zone.apexes_of(&name);
                let Some(served) = zones.iter().position(|zone| self.zone.authority.serves(number, zone))
                else {
                    response.metadata.response_code = ResponseCode::Refused;
                    return Some(DnsReply::Servfail);
                };
                // What lies between the zone it serves and the name is somebody else's.
                if let Some(cut) = served.checked_sub(1) {
                    return Some(self.refer(response, zones[cut]));
                }
            }
        }
        Some(self.fill(response, query))
    }

    /// Names the servers of a zone below (RFC 1034 §4.3.2).
    fn refer(&self, response: &mut Message, zone: &str) -> DnsReply {
        response.metadata.authoritative = false;
        let plan = self.zone.authority.plan(zone);
        let domain = plan.servers_in.as_deref().unwrap_or(zone);
        for number in plan.parent {
            let (Ok(owner), Ok(server)) = (absolute(zone), absolute(&format!("ns{number}.{domain}"))) else {
                continue;
            };
            response.add_authority(self.record(owner, RData::NS(NS(server.clone()))));
            // Glue, which a server elsewhere has none of.
            if plan.servers_in.is_none() {
                response.add_additional(self.record(server, RData::A(A(address_of(number)))));
            }
        }
        DnsReply::NoData
    }

    fn fill(&self, response: &mut Message, query: &Query) -> DnsReply {
        // The first owner is the question's own spelling: a resolver that mixes cases (0x20) compares it.
        let mut owner = query.name().clone();
        let mut error = None;
        for _ in 0..=ALIASES_MAX {
            let name = canonical(&owner.to_ascii());
            match self.link(&name, query.query_type()) {
                Link::Alias(target) => {
                    if let Some((owner, target)) = self.dname_of(&name) {
                        response.add_answer(self.record(owner, target));
                    }
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
                Link::Error(code) => {
                    error = Some(code);
                    break;
                }
                Link::Elsewhere => return DnsReply::Records(response.answers.len()),
                Link::Silence => return DnsReply::Silence,
            }
        }
        // A chain without end is the resolver's to give up on; an authoritative server tells what it has.
        if error.is_none() && matches!(self.asked.role, Role::Server(_)) {
            return DnsReply::Records(response.answers.len());
        }
        response.answers.clear();
        response.metadata.response_code = error.unwrap_or(ResponseCode::ServFail);
        DnsReply::Servfail
    }

    fn link(&self, name: &str, query_type: RecordType) -> Link {
        if let Role::Server(number) = self.asked.role {
            let served = self.zone.apex_of(name).is_some_and(|apex| self.zone.authority.serves(number, apex));
            if !served {
                return Link::Elsewhere;
            }
        }
        let host = self.zone.host(without_underscores(name));
        let fault = host.as_ref().and_then(|host| host.fault());
        match fault {
            Some(Fault::Nxdomain) => return Link::Nxdomain,
            Some(Fault::Servfail) => return Link::Error(ResponseCode::ServFail),
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
                Err(_) => Link::Error(ResponseCode::ServFail),
            };
        }
        if let Some((_, target)) = self.zone.dname_above(name) {
            return absolute(&target).map_or(Link::Error(ResponseCode::ServFail), Link::Alias);
        }
        match records.caa_fault.filter(|_| query_type == RecordType::CAA) {
            Some(TypeFault::Servfail) => return Link::Error(ResponseCode::ServFail),
            Some(TypeFault::NotImplemented) => return Link::Error(ResponseCode::NotImp),
            Some(TypeFault::Silence) => return Link::Silence,
            None => {}
        }
        let host = host.filter(|host| &*host.name == name);
        let found = match query_type {
            RecordType::A | RecordType::AAAA if !records.addresses.is_empty() => {
                let of_type = |data: &RData| data.record_type() == query_type;
                records.addresses.iter().map(|address| RData::from(*address)).filter(of_type).collect()
            }
            RecordType::A if self.zone.is_name_server(name) && host.is_none() => {
                self.zone.name_server(name).map(|number| self.server_address(number)).into_iter().collect()
            }
            RecordType::A if self.is_registry(name) => vec![RData::A(A(self.asked.name_server))],
            RecordType::A => host.and_then(|host| address(host.address, fault)).into_iter().collect(),
            RecordType::AAAA if fault == Some(Fault::DeadIpv6) => {
                host.map(|_| RData::AAAA(AAAA(Ipv6Addr::LOCALHOST))).into_iter().collect()
            }
            RecordType::TXT => self.texts(&records.txt).iter().map(|value| text(value)).collect(),
            RecordType::CAA => records.caa.iter().map(authorization).collect(),
            RecordType::SOA if self.zone.apex_of(name) == Some(name) => {
                vec![self.start_of_authority(name).data]
            }
            RecordType::NS if self.zone.apex_of(name) == Some(name) => {
                let plan = self.zone.authority.plan(name);
                let domain = plan.servers_in.as_deref().unwrap_or(name);
                let servers = plan.child.iter().map(|number| absolute(&format!("ns{number}.{domain}")));
                servers.flatten().map(NS).map(RData::NS).collect()
            }
            RecordType::NS if self.is_suffix(name) => {
                absolute(&format!("{REGISTRY}.{name}")).map(NS).map(RData::NS).into_iter().collect()
            }
            _ => Vec::new(),
        };
        if !found.is_empty() {
            Link::Records(found)
        } else if self.exists(name, &records) {
            Link::NoData
        } else {
            Link::Nxdomain
        }
    }

    fn exists(&self, name: &str, records: &Records) -> bool {
        // A record that has not come here yet, and nothing else of that name.
        let behind =
            records.caa.is_empty() && !records.txt.is_nothing() && self.texts(&records.txt).is_empty();
        (self.zone.exists(name) && !(behind && self.zone.host(name).is_none()))
            || self.zone.is_name_server(name)
            || self.is_registry(name)
    }

    fn texts<'a>(&self, published: &'a Published) -> &'a [String] {
        let number = if let Role::Server(number) = self.asked.role { Some(number) } else { None };
        if self.asked.fault == Some(ServerFault::OtherOverTcp) && self.asked.transport == Transport::Tcp {
            return &[];
        }
        self.zone.authority.shown(published, number)
    }

    fn server_address(&self, number: u8) -> RData {
        let plays_all = self.zone.authority.servers == 0;
        RData::A(A(if plays_all { self.asked.name_server } else { address_of(number) }))
    }

    /// What is above registered domains, where the registry is a server of its own.
    fn is_suffix(&self, name: &str) -> bool {
        self.zone.authority.servers > 0 && self.zone.apex_of(name).is_none() && self.zone.exists(name)
    }

    fn is_registry(&self, name: &str) -> bool {
        name.strip_prefix(REGISTRY)
            .and_then(|rest| rest.strip_prefix('.'))
            .is_some_and(|suffix| self.is_suffix(suffix))
    }

    /// The DNAME record that makes the name an alias. The library does not know the type: its target is written
    /// label by label.
    fn dname_of(&self, name: &str) -> Option<(Name, RData)> {
        let (owner, target) = self.zone.dname_above(name)?;
        let above = name.len() - owner.len();
        let mut rdata: Vec<u8> = Vec::new();
        for label in target[above..].split('.') {
            rdata.push(u8::try_from(label.len()).ok()?);
            rdata.extend_from_slice(label.as_bytes());
        }
        rdata.push(0);
        let rdata = RData::Unknown { code: RecordType::DNAME, rdata: NULL::with(rdata) };
        Some((absolute(owner).ok()?, rdata))
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
