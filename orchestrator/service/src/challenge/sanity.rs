//! Why a name has no addresses, told apart as far as the servers tell: DNSSEC that does not validate, servers that
//! do not speak for their zone, a domain that is registered no more.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RecordType};
use issuance::fault::FailureClass;
use issuance::identifier::{Hostname, delegated_domain};
use tokio::time::timeout;

use super::address::AddressPolicy;
use super::alias::Trail;
use super::delegation::{Delegation, ServerFault, Servers, absolute, canonical};
use super::question::{AskFault, Patience};
use super::report::Verdict;
use super::resolver::{NameResolver, ResolveFault};

/// The search for a cause may not take longer; without it the plain fault is told.
const DEADLINE: Duration = Duration::from_secs(6);
const PATIENCE: Patience = Patience { timeout: Duration::from_secs(2), tries: 1 };
/// Addresses of a zone's servers that are asked.
const ADDRESSES_MAX: usize = 16;

/// Name servers of companies that take over what is not paid for, is for sale, or is held: what a registrar enters in
/// place of the owner's own.
const PARKING: &[(&str, &str)] = &[
    ("above.com", "parked"),
    ("afternic.com", "for sale"),
    ("bodis.com", "parked"),
    ("dan.com", "for sale"),
    ("dns-expired.com", "expired"),
    ("expirationwarning.net", "expired"),
    ("expireddomains.com", "expired"),
    ("failed-whois-verification.namecheap.com", "held: the owner's address was not confirmed"),
    ("hugedomains.com", "for sale"),
    ("namebrightdns.com", "for sale"),
    ("parkingcrew.net", "parked"),
    ("parklogic.com", "parked"),
    ("pendingrenewaldeletion.com", "expired"),
    ("renewyourname.net", "expired"),
    ("sedoparking.com", "parked"),
    ("suspended-domain.com", "held"),
    ("verify-contact-details.namecheap.com", "held: the owner's address was not confirmed"),
    ("undeveloped.com", "for sale"),
];

#[derive(Debug)]
pub(super) struct Sanity {
    servers: Servers,
}

impl Sanity {
    pub(super) fn new(resolver: Arc<NameResolver>, policy: Arc<AddressPolicy>, port: u16) -> Self {
        Self { servers: Servers::new(resolver, policy, port, PATIENCE) }
    }

    /// What is told of a name that has no addresses.
    pub(super) async fn verdict(&self, name: &Hostname, fault: ResolveFault) -> Verdict {
        let cause = match absolute(name.validation_target()) {
            Some(target) => timeout(DEADLINE, self.cause(&target, fault)).await.ok().flatten(),
            None => None,
        };
        match (cause, fault.class()) {
            (Some((class, detail)), _) => Verdict::not_ready(class, &detail),
            (None, Some(class)) => Verdict::not_ready(class, &fault.to_string()),
            (None, None) => Verdict::unknown(&fault.to_string()),
        }
    }

    /// What is wrong with the zone that holds the name, whatever records the name itself has. None: somebody answers
    /// for it.
    pub(super) async fn zone_verdict(&self, name: &Hostname) -> Option<Verdict> {
        let target = absolute(name.validation_target())?;
        match self.servers.resolver.name_servers(&domain(&target)?).await {
            Ok(_) => {
                let (class, detail) = timeout(DEADLINE, self.lame(&target)).await.ok().flatten()?;
                Some(Verdict::not_ready(class, &detail))
            }
            Err(fault) => Some(self.verdict(name, fault).await),
        }
    }

    async fn cause(&self, name: &Name, fault: ResolveFault) -> Option<(FailureClass, String)> {
        match fault {
            ResolveFault::Servfail(_) => {
                let trail = Trail::follow(&self.servers.resolver, name).await;
                if let Some(circle) = trail.fault() {
                    return Some((FailureClass::DnsAlias, circle));
                }
                match self.bogus(trail.end()).await {
                    Some(detail) => Some((FailureClass::Dnssec, detail)),
                    None => self.lame(trail.end()).await,
                }
            }
            ResolveFault::Timeout => self.lame(name).await,
            ResolveFault::Nxdomain | ResolveFault::NoAddress => {
                let trail = Trail::follow(&self.servers.resolver, name).await;
                if !trail.is_straight() {
                    return Some((FailureClass::DnsAlias, self.dangling(&trail, fault).await));
                }
                if fault == ResolveFault::Nxdomain {
                    return self.missing(name, fault).await;
                }
                let parked = self.parked(&domain(name)?).await?;
                Some((FailureClass::DnsNoAddress, format!("{fault}; {parked}")))
            }
            ResolveFault::Unreachable => None,
        }
    }

    /// What is told of an alias that does not end at an address.
    async fn dangling(&self, trail: &Trail, fault: ResolveFault) -> String {
        if let Some(circle) = trail.fault() {
            return circle;
        }
        let end = canonical(trail.end());
        let what = match fault {
            ResolveFault::Nxdomain => match self.missing(trail.end(), fault).await {
                Some((FailureClass::DnsUnregistered, detail)) => detail,
                _ => format!("{end} does not exist in DNS (NXDOMAIN)"),
            },
            _ => format!("{end} has neither an A nor an AAAA record"),
        };
        format!("the name is an alias ({}), and {what}", trail.told())
    }

    async fn bogus(&self, name: &Name) -> Option<String> {
        let validates_not = self.servers.resolver.answers_unchecked(name, RecordType::A).await;
        let domain = canonical(&domain(name)?);
        validates_not.then(|| {
            format!(
                "DNSSEC does not validate: a resolver answers SERVFAIL for {}, and answers it when it is told not to \
                 check signatures; sign {domain} anew, or have its DS record at the registrar removed",
                canonical(name)
            )
        })
    }

    /// Told only where every server that answers at all disowns the zone, or where none answers.
    async fn lame(&self, name: &Name) -> Option<(FailureClass, String)> {
        let zone = self.servers.holding(name).await.ok()?;
        let (class, words) = self.disowned(&zone).await?;
        let of_zone = canonical(&zone.zone);
        let mut detail = match class {
            FailureClass::DnsLame => format!("no name server of {of_zone} answers for it: {words}"),
            _ => format!("no name server of {of_zone} answers at all: {words}"),
        };
        if let Some(parked) = parking(zone.servers.keys().map(canonical)) {
            detail = format!("{detail}; {parked}");
        }
        Some((class, detail))
    }

    async fn disowned(&self, zone: &Delegation) -> Option<(FailureClass, String)> {
        let mut asked = Vec::new();
        let mut words = Vec::new();
        for (server, addresses) in &zone.servers {
            asked.extend(addresses.iter().map(|address| (server, *address)));
            if addresses.is_empty() {
                words.push(format!("{}: {}", canonical(server), ServerFault::NoAddress));
            }
        }
        // Whoever is named and does not exist speaks for nobody.
        let mut disowns = !words.is_empty();
        let mut is_all = asked.len() <= ADDRESSES_MAX;
        asked.truncate(ADDRESSES_MAX);
        let answers = asked.into_iter().map(|(server, address)| async move {
            (server, address, self.servers.ask(address, &zone.zone, RecordType::SOA, None).await)
        });
        for (server, address, answer) in join_all(answers).await {
            let said = match answer {
                Ok(answer) if answer.metadata.response_code == ResponseCode::ServFail => return None,
                Ok(answer) if answer.metadata.response_code != ResponseCode::NoError => {
                    disowns = true;
                    answer.metadata.response_code.to_string()
                }
                Ok(answer) if answer.metadata.authoritative => return None,
                Ok(_) => {
                    disowns = true;
                    "not authoritative".to_owned()
                }
                Err(ServerFault::Ask(fault @ (AskFault::Silent | AskFault::Closed))) => fault.to_string(),
                Err(_) => {
                    is_all = false;
                    continue;
                }
            };
            words.push(format!("{} ({address}): {said}", canonical(server)));
        }
        let class = if disowns {
            FailureClass::DnsLame
        } else if is_all && !words.is_empty() && zone.parent.is_some() {
            // A resolver answers SERVFAIL where it hears nobody; the servers themselves have said nothing. Where the zone
            // above was not heard either, it may be that nothing of DNS gets out of here.
            FailureClass::DnsTimeout
        } else {
            return None;
        };
        Some((class, words.join("; ")))
    }

    async fn missing(&self, name: &Name, fault: ResolveFault) -> Option<(FailureClass, String)> {
        let domain = domain(name)?;
        let text = canonical(&domain);
        match self.servers.resolver.name_servers(&domain).await {
            Err(ResolveFault::Nxdomain) => {
                let detail = format!(
                    "the domain {text} does not exist in DNS (NXDOMAIN): it is not registered, has expired, or is on \
                     hold at its registrar"
                );
                Some((FailureClass::DnsUnregistered, detail))
            }
            Ok(servers) => {
                let parked = parking(servers.iter().map(canonical))
                    .map(|parked| format!("; {parked}"))
                    .unwrap_or_default();
                Some((FailureClass::DnsNxdomain, format!("{fault}; its domain {text} does{parked}")))
            }
            Err(_) => None,
        }
    }

    async fn parked(&self, domain: &Name) -> Option<String> {
        parking(self.servers.resolver.name_servers(domain).await.ok()?.iter().map(canonical))
    }
}

/// The registered domain that holds the name.
fn domain(name: &Name) -> Option<Name> {
    absolute(delegated_domain(&canonical(name)))
}

/// What the names of a domain's servers say of it.
fn parking(mut servers: impl Iterator<Item = String>) -> Option<String> {
    servers.find_map(|server| {
        let within = |domain: &str| {
            server.strip_suffix(domain).is_some_and(|front| front.is_empty() || front.ends_with('.'))
        };
        let (_, what) = PARKING.iter().find(|(domain, _)| within(domain))?;
        Some(format!("the domain seems to be {what}: its name server is {server}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_that_its_registrar_has_taken_over_is_told_by_its_servers() {
        let told = |servers: &[&str]| parking(servers.iter().map(|server| (*server).to_owned()));
        assert_eq!(
            told(&["ns1.example.net", "ns2.sedoparking.com"]).as_deref(),
            Some("the domain seems to be parked: its name server is ns2.sedoparking.com")
        );
        for own in [&["ns1.notsedoparking.com"][..], &["ns1.above.com.example.net"], &[]] {
            assert_eq!(told(own), None, "{own:?}");
        }
    }
}
