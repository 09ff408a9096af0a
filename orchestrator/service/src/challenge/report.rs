//! What a check of a name found.

use std::fmt::Write as _;
use std::net::IpAddr;

use issuance::check::{Check, Finding, Outcome, Waived, hindrance};
use issuance::fault::FailureClass;
use issuance::identifier::Hostname;

use super::address::{AddressPolicy, AddressRefusal};
use super::fetch::FetchFault;
use super::findings;

/// A detail goes into a row and onto a page.
const DETAIL_CHARACTERS_MAX: usize = 300;

/// One name, checked.
#[derive(Debug, Clone)]
pub struct NameReport {
    pub hostname: Hostname,
    pub verdict: Verdict,
    /// Every address the name leads to, in numeric order. Empty where there is none.
    pub checks: Vec<AddressCheck>,
    /// Every declared server behind those addresses.
    pub nodes: Vec<NodeCheck>,
    /// What each check found and where, what is to be mended first in front.
    pub findings: Vec<Finding>,
}

impl NameReport {
    pub(super) fn new(
        hostname: Hostname,
        verdict: Verdict,
        checks: Vec<AddressCheck>,
        nodes: Vec<NodeCheck>,
        policy: &AddressPolicy,
    ) -> Self {
        let findings = findings::of(&verdict, &checks, &nodes, policy);
        Self { hostname, verdict, checks, nodes, findings }
    }

    /// The verdict, were it not for the checks that keep nobody back. What no check found stays as it is.
    pub fn judged(&self, waived: &Waived) -> Verdict {
        let failed = || self.findings.iter().filter(|one| one.outcome == Outcome::Failed);
        match (&self.verdict, hindrance(&self.findings, waived)) {
            (Verdict::NotReady { .. }, None) if failed().next().is_some() => Verdict::Ready,
            (Verdict::NotReady { .. }, Some(first)) if failed().any(|one| waived.contains(one.check)) => {
                let place = first.at.as_deref().map_or_else(String::new, |place| format!("{place}: "));
                let class = first.class.unwrap_or(FailureClass::Internal);
                Verdict::not_ready(class, &format!("{place}{}", first.observed))
            }
            (verdict, _) => verdict.clone(),
        }
    }

    /// The checks that found something wrong.
    pub fn alarms(&self) -> Vec<Check> {
        let mut alarms: Vec<_> =
            self.findings.iter().filter(|one| one.outcome == Outcome::Failed).map(|one| one.check).collect();
        alarms.sort_unstable();
        alarms.dedup();
        alarms
    }

    /// The checks that were made everywhere, and found nothing wrong anywhere.
    pub fn passed(&self) -> Vec<Check> {
        let mut passed: Vec<_> = Check::ALL.to_vec();
        passed.retain(|check| {
            let mut of_check = self.findings.iter().filter(|one| one.check == *check).peekable();
            of_check.peek().is_some() && of_check.all(|one| one.outcome == Outcome::Passed)
        });
        passed
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A CA that asks now gets the right answer, whichever address it chooses.
    Ready,
    NotReady {
        class: FailureClass,
        /// What was seen, at most 300 characters, none of them a control character.
        detail: String,
    },
    /// We could not look. Says nothing about the name.
    Unknown { detail: String },
}

/// One address of a name, checked.
#[derive(Debug, Clone)]
pub struct AddressCheck {
    pub address: IpAddr,
    pub outcome: Result<(), AddressFault>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    /// Nothing was sent there.
    #[error(transparent)]
    Refused(#[from] AddressRefusal),
    #[error(transparent)]
    Fetch(#[from] FetchFault),
}

/// One declared server, checked.
#[derive(Debug, Clone)]
pub struct NodeCheck {
    /// Its name.
    pub node: Box<str>,
    pub outcome: Result<(), FetchFault>,
}

impl AddressFault {
    /// None where the name is not to blame.
    pub fn class(&self) -> Option<FailureClass> {
        match self {
            Self::Refused(refusal) => Some(refusal.class()),
            Self::Fetch(fault) => fault.class(),
        }
    }
}

impl Verdict {
    pub(super) fn not_ready(class: FailureClass, detail: &str) -> Self {
        Self::NotReady { class, detail: presentable(detail) }
    }

    pub(super) fn unknown(detail: &str) -> Self {
        Self::Unknown { detail: presentable(detail) }
    }

    /// The addresses decide, and where those are right or are wrong through a server behind them, those servers: the
    /// next request may meet any.
    pub(super) fn of(checks: &[AddressCheck], nodes: &[NodeCheck]) -> Self {
        let of_addresses = Self::of_addresses(checks);
        let mut faults: Vec<_> = nodes
            .iter()
            .filter_map(|check| {
                let fault = check.outcome.as_ref().err()?;
                Some((fault.class()?, &check.node, fault))
            })
            .collect();
        faults.sort_by_key(|(class, ..)| severity(*class));
        let nodes_decide = matches!(of_addresses, Self::Ready) || is_through_a_node(checks, nodes);
        match faults.first() {
            Some((class, ..)) if nodes_decide => {
                let told: Vec<_> =
                    faults.iter().map(|(_, node, fault)| format!("node {node}: {fault}")).collect();
                let detail = format!("{} ({} of {} nodes)", told.join("; "), faults.len(), nodes.len());
                Self::not_ready(*class, &detail)
            }
            _ => of_addresses,
        }
    }

    /// The worst address decides, since a CA may choose any. An address this machine cannot reach says
    /// nothing beside one that answers.
    fn of_addresses(checks: &[AddressCheck]) -> Self {
        let mut faults: Vec<_> = checks
            .iter()
            .filter_map(|check| check.outcome.as_ref().err().map(|fault| (check.address, fault)))
            .collect();
        let blamed = |fault: &AddressFault| fault.class();
        faults.sort_by_key(|(_, fault)| blamed(fault).map_or(usize::MAX, severity));
        let Some((_, worst)) = faults.first() else { return Self::Ready };
        match blamed(worst) {
            Some(class) => {
                faults.retain(|(_, fault)| blamed(fault).is_some());
                Self::not_ready(class, &describe(&faults, checks.len()))
            }
            None if faults.len() < checks.len() => Self::Ready,
            None => Self::unknown(&describe(&faults, checks.len())),
        }
    }
}

/// Whether all that is wrong at the addresses is what a node behind them does: some nodes answer, others do not, and a
/// load balancer gives the probe to one or the other. Then it is the node that is to be mended.
pub(super) fn is_through_a_node(checks: &[AddressCheck], nodes: &[NodeCheck]) -> bool {
    let fails = |node: &NodeCheck| node.outcome.as_ref().err().is_some_and(|fault| fault.class().is_some());
    let is_a_nodes = |fault: &AddressFault| match fault {
        AddressFault::Refused(_) => false,
        AddressFault::Fetch(fault) => fault.is_behind_the_connection(),
    };
    nodes.iter().any(fails)
        && nodes.iter().any(|node| node.outcome.is_ok())
        && checks.iter().filter_map(|check| check.outcome.as_ref().err()).all(is_a_nodes)
}

/// Of several causes the one told is the one whose mending comes first: where the records lead, then
/// whether anything answers there, then what.
const SEVERITY: &[FailureClass] = &[
    FailureClass::PrivateAddress,
    FailureClass::WrongAddress,
    FailureClass::ConnectionRefused,
    FailureClass::ConnectionTimeout,
    FailureClass::ConnectionClosed,
    FailureClass::NotHttp,
    FailureClass::Tls,
    FailureClass::Redirect,
    FailureClass::RedirectTarget,
    FailureClass::HttpStatus,
    FailureClass::WrongContent,
    FailureClass::SlowResponse,
];

pub(super) fn severity(class: FailureClass) -> usize {
    SEVERITY.iter().position(|of| *of == class).unwrap_or(SEVERITY.len())
}

fn describe(faults: &[(IpAddr, &AddressFault)], addresses: usize) -> String {
    let mut text = String::new();
    for (address, fault) in faults {
        if !text.is_empty() {
            text.push_str("; ");
        }
        let written = match fault {
            AddressFault::Refused(refusal) => write!(text, "{refusal}"),
            AddressFault::Fetch(fault) => write!(text, "{address}: {fault}"),
        };
        written.expect("a string takes everything");
    }
    if faults.len() < addresses {
        write!(text, " ({} of {addresses} addresses)", faults.len()).expect("a string takes everything");
    }
    text
}

pub(super) fn presentable(detail: &str) -> String {
    detail.chars().filter(|c| !c.is_control()).take(DETAIL_CHARACTERS_MAX).collect()
}
