//! A labelled corpus of broken topologies: what is true of each, and what the product says of it.

mod caa;
mod conduct;
mod confusion;
mod daemons;
mod dns;
mod dnssec;
mod farms;
mod http;
mod propagation;
mod stage;
mod topology;

use std::collections::BTreeSet;
use std::sync::Arc;

use issuance::fault::FailureClass;
use lockkeeper::challenge::address::AddressPolicy;
use lockkeeper::challenge::propagation::{Propagation, PropagationConfig, Verdict};
use lockkeeper::challenge::resolver::{NameResolver, ResolverConfig};
use lockkeeper_tests::named::Named;

use crate::confusion::{Confusion, Outcome};
use crate::stage::Stage;
use crate::topology::{Cause, Class, Topology};

/// Of each class.
const BROKEN_MIN: usize = 7;
const SHARE_RIGHT_MIN: f64 = 0.95;

fn web() -> Vec<Topology> {
    [dns::table(), http::table(), caa::table(), farms::table()].concat()
}

#[test]
fn the_corpus_is_as_large_as_it_says_and_no_name_is_in_it_twice() {
    let all = [web(), dnssec::table(), propagation::table()].concat();
    let names: BTreeSet<&str> = all.iter().map(|topology| topology.name).collect();
    assert_eq!(names.len(), all.len());
    for class in Class::ALL {
        let broken = all.iter().filter(|topology| topology.class == class && topology.cause.is_some());
        assert!(broken.count() >= BROKEN_MIN, "{class}");
    }
    assert!(all.iter().filter(|topology| topology.cause.is_some()).count() >= 60);
    assert!(all.iter().filter(|topology| topology.cause.is_none()).count() >= 10);
}

/// The real service takes an order for each name; what it tells of those that cannot pass is held against the labels, and
/// what it has asked of the CA against the CA's books.
#[expect(clippy::print_stdout, reason = "the table is what one wants to know of it")]
#[tokio::test]
async fn the_top_cause_is_right_and_nothing_is_ordered_that_cannot_pass() -> anyhow::Result<()> {
    let mut confusion = Confusion::default();

    let mut topologies = [web(), propagation::table()].concat();
    let stage = Stage::build(&topologies, None).await?;
    if !stage.world.fleet.has_ipv6() {
        topologies.retain(|topology| topology.name != "www.d-six-only.com");
    }
    let (records, names): (Vec<_>, Vec<_>) =
        topologies.into_iter().partition(|topology| topology.class == Class::Propagation);
    look_for(&records, &stage, &mut confusion).await?;
    order(&names, &stage, &mut confusion).await?;
    stage.stop().await?;

    let named = Named::start(dnssec::zones()).await;
    let signed = dnssec::table();
    let stage = Stage::build(&signed, Some(named.resolver)).await?;
    order(&signed, &stage, &mut confusion).await?;
    stage.stop().await?;

    println!("{}", confusion.table());
    let (share, alarms) =
        (confusion.share_right(), confusion.0.iter().filter(|one| one.is_false_alarm()).count());
    assert!(share >= SHARE_RIGHT_MIN && alarms == 0, "{share}, {alarms} false alarms: see the table");
    Ok(())
}

async fn order(topologies: &[Topology], stage: &Stage, confusion: &mut Confusion) -> anyhow::Result<()> {
    let found = stage.order(topologies).await?;
    let ca = stage.world.ca.rehearsal().expect("the rehearsal CA");
    let ordered: BTreeSet<String> = ca.orders(None).into_iter().flat_map(|order| order.names).collect();
    for (topology, found) in topologies.iter().zip(found) {
        let passes = topology.cause.is_none();
        let reached = (ordered.contains(topology.name), found.issued);
        assert_eq!(reached, (passes, passes), "{}: ordered and issued: {found:?}", topology.name);
        confusion.0.push(Outcome::new(topology, found.cause, found.told));
    }
    let audit = stage.world.audit()?;
    assert_eq!((audit.authorizations.invalid, audit.duplicate_certificates), (0, 0), "{audit:?}");
    Ok(())
}

/// Challenge records are only known once there is an order: what must not happen is that a challenge is submitted.
/// Whether it may be is the look's word.
async fn look_for(topologies: &[Topology], stage: &Stage, confusion: &mut Confusion) -> anyhow::Result<()> {
    let dns = stage.world.fleet.dns_addr();
    let resolvers = ResolverConfig { servers: vec![dns], ..ResolverConfig::default() };
    let config = PropagationConfig { port: dns.port(), ..PropagationConfig::default() };
    let policy = AddressPolicy { allowed: vec!["127.0.0.0/8".parse()?], expected: Vec::new() };
    let resolver = Arc::new(NameResolver::new(&resolvers)?);
    let propagation = Propagation::new(&config, resolver, Arc::new(policy));
    let expected = [propagation::VALUE.to_owned()];
    let looks = topologies.iter().map(|topology| propagation.look(topology.name, &expected));
    for (topology, report) in topologies.iter().zip(futures_util::future::join_all(looks).await) {
        let (class, told) = match report.verdict {
            Verdict::Visible => (None, String::new()),
            Verdict::NotYet { class, detail } => (Some(class), detail),
            Verdict::Unknown { detail } => (Some(FailureClass::Internal), detail),
        };
        let cause = class.map(|class| Cause {
            check: issuance::check::Check::of(class).unwrap_or(issuance::check::Check::Propagation),
            class,
        });
        assert!(topology.cause.is_none() || cause.is_some(), "{} would be submitted", topology.name);
        confusion.0.push(Outcome::new(topology, cause, told));
    }
    Ok(())
}
