//! A check of a name, taken apart into what each single check found.

use issuance::check::{Check, Finding, Outcome};
use issuance::fault::FailureClass;

use super::address::AddressPolicy;
use super::report::{AddressCheck, NodeCheck, Verdict, is_through_a_node, presentable, severity};

/// What an address goes through, in this order: whoever fails one is not asked by those behind it.
const STATIONS: [Check; 6] = [
    Check::PublicAddress,
    Check::ProviderAddress,
    Check::Connection,
    Check::Redirect,
    Check::Tls,
    Check::Response,
];

/// Failures first, those to be mended first in front; then what could not be looked at; then what is right.
pub(super) fn of(
    verdict: &Verdict,
    checks: &[AddressCheck],
    nodes: &[NodeCheck],
    policy: &AddressPolicy,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if checks.is_empty() {
        findings.extend(of_the_name(verdict));
        return findings;
    }
    let addresses: Vec<_> = checks.iter().map(|check| check.address.to_string()).collect();
    findings.push(Finding::passed(Check::Dns, addresses.join(", ")));
    // Found by a check of the name as such, beside addresses that answer.
    let of_places = checks.iter().filter_map(|check| check.outcome.as_ref().err()?.class());
    let of_nodes = nodes.iter().filter_map(|check| check.outcome.as_ref().err()?.class());
    match verdict {
        Verdict::NotReady { class, .. } if !of_places.chain(of_nodes).any(|one| one == *class) => {
            findings.extend(of_the_name(verdict));
        }
        _ => {}
    }
    for check in checks {
        findings.extend(of_address(check, policy));
    }
    for check in nodes {
        findings.push(of_node(check));
    }
    let nodes_first = is_through_a_node(checks, nodes);
    findings.sort_by_key(|finding| rank(finding, nodes_first));
    findings
}

fn of_the_name(verdict: &Verdict) -> Option<Finding> {
    match verdict {
        Verdict::NotReady { class, detail } => Some(Finding::failed(Check::of(*class)?, *class, &**detail)),
        Verdict::Unknown { detail } => Some(Finding::unknown(Check::Dns, &**detail)),
        Verdict::Ready => None,
    }
}

fn of_address(check: &AddressCheck, policy: &AddressPolicy) -> Vec<Finding> {
    let address = check.address.to_string();
    let expected = |station: Check| {
        if station == Check::ProviderAddress {
            let blocks: Vec<_> = policy.expected.iter().map(ToString::to_string).collect();
            return format!("an address in {}", blocks.join(", ")).into();
        }
        station.expected().into()
    };
    let (failed, observed, class) = match &check.outcome {
        Ok(()) => (None, "as expected".to_owned(), None),
        Err(fault) => (Some(fault), presentable(&fault.to_string()), fault.class()),
    };
    let Some(fault_at) = failed.map(|_| class.and_then(Check::of)) else {
        let asked = |station: &Check| *station != Check::ProviderAddress || !policy.expected.is_empty();
        let passed =
            |station| Finding { expected: expected(station), ..Finding::passed(station, &*observed) };
        return STATIONS.into_iter().filter(asked).map(|station| passed(station).at(&*address)).collect();
    };
    let Some(station) = fault_at else {
        return vec![Finding::unknown(Check::Connection, observed).at(address)];
    };
    let class = class.unwrap_or(FailureClass::Internal);
    let failed = Finding { expected: expected(station), ..Finding::failed(station, class, observed) };
    let before = STATIONS.into_iter().take_while(|one| *one != station);
    let asked = before.filter(|one| *one != Check::ProviderAddress || !policy.expected.is_empty());
    // Where redirects were followed, those who were asked before the failing hop had nothing to say against it.
    let passed = asked
        .map(|one| Finding { expected: expected(one), ..Finding::passed(one, "as expected") }.at(&*address));
    passed.chain([failed.at(&*address)]).collect()
}

fn of_node(check: &NodeCheck) -> Finding {
    let finding = match &check.outcome {
        Ok(()) => Finding::passed(Check::Nodes, "as expected"),
        Err(fault) => match fault.class() {
            Some(class) => Finding::failed(Check::Nodes, class, presentable(&fault.to_string())),
            None => Finding::unknown(Check::Nodes, presentable(&fault.to_string())),
        },
    };
    finding.at(&*check.node)
}

fn rank(finding: &Finding, nodes_first: bool) -> (u8, bool, usize, Check) {
    let outcome = match finding.outcome {
        Outcome::Failed => 0,
        Outcome::Unknown => 1,
        Outcome::Passed => 2,
    };
    let comes_later = (finding.check == Check::Nodes) != nodes_first;
    (outcome, comes_later, finding.class.map_or(usize::MAX, severity), finding.check)
}
