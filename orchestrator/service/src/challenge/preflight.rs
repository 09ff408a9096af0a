//! Asks of a name what a CA would ask, before the CA is asked to.

use std::fmt;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, join_all, select};
use issuance::fault::FailureClass;
use issuance::identifier::Hostname;
use tokio::time::Instant;

use super::address::AddressPolicy;
use super::caa::{CaaCheck, CaaIssuer, CaaRound, Method};
use super::farm::{Farm, Node};
use super::fetch::{FetchConfig, Fetcher, FetcherSetUpError};
use super::instruments::{CheckInstruments, Purpose};
use super::probe::{self, Expected, ProbeSecret};
pub use super::report::{AddressCheck, AddressFault, NameReport, NodeCheck, Verdict};
use super::resolver::{DNS_PORT, NameResolver};
use super::sanity::Sanity;
use crate::telemetry::traces;

/// RFC 8555 §8.3.
pub(super) const CHALLENGE_PATH: &str = "/.well-known/acme-challenge/";

/// Checks names over HTTP-01. One per process.
///
/// Every check may be dropped at any point: it holds nothing but sockets. How many run at once is up to the
/// caller.
pub struct Preflight {
    fetcher: Fetcher,
    resolver: Arc<NameResolver>,
    policy: Arc<AddressPolicy>,
    farm: Farm,
    secret: ProbeSecret,
    /// Of the account's key.
    thumbprint: Option<Box<str>>,
    instruments: CheckInstruments,
    sanity: Sanity,
    /// None until it is known for whom: whether the CA may issue is not looked at then.
    caa: Option<CaaCheck>,
}

impl fmt::Debug for Preflight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Preflight").field("fetcher", &self.fetcher).finish_non_exhaustive()
    }
}

impl Preflight {
    pub fn new(
        config: &FetchConfig,
        resolver: Arc<NameResolver>,
        policy: AddressPolicy,
        secret: ProbeSecret,
    ) -> Result<Self, FetcherSetUpError> {
        let policy = Arc::new(policy);
        let fetcher = Fetcher::new(config, Arc::clone(&resolver), Arc::clone(&policy))?;
        let sanity = Sanity::new(Arc::clone(&resolver), Arc::clone(&policy), DNS_PORT);
        let (farm, instruments) = (Farm::default(), CheckInstruments::register());
        let (thumbprint, caa) = (None, None);
        Ok(Self { fetcher, resolver, policy, farm, secret, thumbprint, instruments, sanity, caa })
    }

    /// The same, for an account with this key thumbprint (RFC 7638): a web server that answers any token with it by
    /// itself answers the probe so, and a CA no less.
    #[must_use]
    pub fn speaking_for(self, thumbprint: &str) -> Self {
        Self { thumbprint: Some(thumbprint.into()), ..self }
    }

    /// Looks from now on whether this CA may issue, too (CAA).
    #[must_use]
    pub fn issued_by(self, issuer: CaaIssuer) -> Self {
        Self { caa: Some(CaaCheck::new(Arc::clone(&self.resolver), issuer)), ..self }
    }

    /// Where authoritative servers answer; 53 unless said otherwise.
    #[must_use]
    pub fn with_authorities_at(self, port: u16) -> Self {
        let sanity = Sanity::new(Arc::clone(&self.resolver), Arc::clone(&self.policy), port);
        Self { sanity, ..self }
    }

    /// Asks at each of these servers too that stand behind a name's addresses.
    #[must_use]
    pub fn with_farm(self, farm: Farm) -> Self {
        Self { farm, ..self }
    }

    /// Checks the names side by side; reports come in their order.
    pub async fn check(&self, names: impl IntoIterator<Item = &Hostname>) -> Vec<NameReport> {
        let round = &CaaRound::default();
        join_all(names.into_iter().map(|name| self.probe(Purpose::Preflight, round, name))).await
    }

    /// Whether every address of the name answers for us, shown by a probe of its own: from our responder, or by the
    /// account's thumbprint.
    pub async fn check_name(&self, name: &Hostname) -> NameReport {
        self.probe(Purpose::Preflight, &CaaRound::default(), name).await
    }

    /// The same, with no order in hand: to see whether a name that was not ready is, or because somebody wants to know.
    pub async fn look_at(&self, name: &Hostname) -> NameReport {
        self.probe(Purpose::Look, &CaaRound::default(), name).await
    }

    /// What can be known before a TXT record is published, for names that are proven in DNS, wildcards too: that the
    /// CA may issue for them, and that somebody speaks for their zones. Reports come in the names' order.
    pub async fn check_zones(&self, names: impl IntoIterator<Item = &Hostname>) -> Vec<NameReport> {
        self.check_in_dns(names, true).await
    }

    /// Whether the CA may issue for names that are proven in DNS, and no more. Reports come in the names' order.
    pub async fn check_issuable(&self, names: impl IntoIterator<Item = &Hostname>) -> Vec<NameReport> {
        self.check_in_dns(names, false).await
    }

    /// `zones`: whether somebody speaks for them is looked at too, and outweighs what CAA forbids.
    async fn check_in_dns(&self, names: impl IntoIterator<Item = &Hostname>, zones: bool) -> Vec<NameReport> {
        let round = &CaaRound::default();
        let checks = names.into_iter().map(|name| async move {
            let started = Instant::now();
            let unsound = async { if zones { self.sanity.zone_verdict(name).await } else { None } };
            let judge = async {
                let (unsound, forbidden) =
                    tokio::join!(unsound, self.forbidden(name, Method::Dns01, Some(round)));
                let verdict = unsound.or(forbidden).unwrap_or(Verdict::Ready);
                note_verdict(&verdict);
                verdict
            };
            let verdict = traces::name(Some(name.as_str()), "precheck", judge).await;
            self.instruments.record(Purpose::Preflight, &verdict, started.elapsed());
            NameReport::new(name.clone(), verdict, Vec::new(), Vec::new(), &self.policy)
        });
        join_all(checks).await
    }

    async fn probe(&self, purpose: Purpose, round: &CaaRound, name: &Hostname) -> NameReport {
        let token = probe::draw_token();
        let mut expected = Expected::of(self.secret.answer(&token));
        if let Some(thumbprint) = &self.thumbprint {
            expected = expected.or(format!("{token}.{thumbprint}"));
        }
        self.ask(purpose, name, &token, &expected, Some(round)).await
    }

    /// Whether the name serves this key authorization on every address: the same way, with the real token.
    pub async fn sees(&self, name: &Hostname, token: &str, key_authorization: &str) -> NameReport {
        let expected = Expected::of(key_authorization.to_owned()).looking(self.secret.sign_look(token));
        self.ask(Purpose::SelfCheck, name, token, &expected, None).await
    }

    async fn ask(
        &self,
        purpose: Purpose,
        name: &Hostname,
        token: &str,
        expected: &Expected,
        caa: Option<&CaaRound>,
    ) -> NameReport {
        let started = Instant::now();
        let look = async {
            let looked = self.look(name, token, expected, caa).await;
            note_verdict(&looked.0);
            looked
        };
        let (verdict, checks, nodes) = match purpose {
            Purpose::Preflight => traces::name(Some(name.as_str()), "precheck", look).await,
            // Part of a step that has a span for each name, or of none.
            Purpose::SelfCheck | Purpose::Look => look.await,
        };
        self.instruments.record(purpose, &verdict, started.elapsed());
        NameReport::new(name.clone(), verdict, checks, nodes, &self.policy)
    }

    async fn look(
        &self,
        name: &Hostname,
        token: &str,
        expected: &Expected,
        caa: Option<&CaaRound>,
    ) -> (Verdict, Vec<AddressCheck>, Vec<NodeCheck>) {
        if name.is_wildcard() {
            // RFC 8555 §8.3 proves one host; CAs offer no HTTP-01 challenge for a wildcard.
            let detail = "a wildcard cannot be proven over HTTP: it needs a DNS-01 challenge";
            return (Verdict::not_ready(FailureClass::RejectedIdentifier, detail), Vec::new(), Vec::new());
        }
        // Side by side; where there is no address, nobody waits for what CAA records would say.
        let forbidden = self.forbidden(name, Method::Http01, caa);
        let (addresses, forbidden) = match select(pin!(self.resolver.lookup(name)), pin!(forbidden)).await {
            Either::Left((Err(fault), _)) => (Err(fault), None),
            Either::Left((Ok(addresses), forbidden)) => (Ok(addresses), forbidden.await),
            Either::Right((forbidden, addresses)) => (addresses.await, forbidden),
        };
        let addresses = match addresses {
            Ok(addresses) => addresses,
            Err(fault) => return (self.sanity.verdict(name, fault).await, Vec::new(), Vec::new()),
        };
        if let Some(verdict) = forbidden {
            return (verdict, Vec::new(), Vec::new());
        }
        let path = format!("{CHALLENGE_PATH}{token}");
        let check = |address| self.check_address(name, address, &path, expected);
        let ours: Vec<_> = addresses.iter().filter(|address| self.policy.check(*address).is_ok()).collect();
        let check_node = |node| self.check_node(name, node, &path, expected);
        let (checks, nodes) = tokio::join!(
            join_all(addresses.iter().map(check)),
            join_all(self.farm.behind(&ours).into_iter().map(check_node))
        );
        (Verdict::of(&checks, &nodes), checks, nodes)
    }

    async fn check_node(&self, name: &Hostname, node: &Node, path: &str, expected: &Expected) -> NodeCheck {
        let outcome = self.fetcher.check_node(name.as_str(), node.address, path, expected).await;
        NodeCheck { node: node.name.clone(), outcome }
    }

    /// Whether CAA records keep the CA from issuing, and what to publish; none where they do not.
    async fn forbidden(&self, name: &Hostname, method: Method, round: Option<&CaaRound>) -> Option<Verdict> {
        let fault = self.caa.as_ref()?.check(round?, name, method).await.err()?;
        Some(match fault.class {
            Some(class) => Verdict::not_ready(class, &fault.detail),
            None => Verdict::unknown(&fault.detail),
        })
    }

    async fn check_address(
        &self,
        name: &Hostname,
        address: IpAddr,
        path: &str,
        expected: &Expected,
    ) -> AddressCheck {
        let outcome = match self.policy.check(address) {
            Ok(()) => self.fetcher.check(name.as_str(), address, path, expected).await.map_err(Into::into),
            Err(refusal) => Err(refusal.into()),
        };
        AddressCheck { address, outcome }
    }
}

/// To the span of the check.
fn note_verdict(verdict: &Verdict) {
    match verdict {
        Verdict::Ready => {}
        Verdict::NotReady { class, .. } => traces::fail(class.as_str()),
        Verdict::Unknown { .. } => traces::fail("unknown"),
    }
}

#[cfg(test)]
mod tests;
