//! Says whether the promises were kept. It asks the CA's own books and the rows, and none of the service's judgement.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use anyhow::Context as _;
use issuance::time::{Clock as _, Timestamp};
use lockkeeper::keys::{CertificateKey, MasterKey, Sealer};
use lockkeeper_tests::world::World;
use rehearsal::audit::{AuthorizationRecord, Event};
use rehearsal::ca::RehearsalCa;
use secrecy::ExposeSecret as _;
use sqlx::Row as _;
use uuid::Uuid;
use x509_parser::parse_x509_certificate;

use crate::cell::Manners;
use crate::drive::instant;
use crate::scenery::PENDING_MAX;

/// A CA counts five failures an hour and name.
const FAILURES_MAX: usize = 5;
const HOUR: Duration = Duration::from_hours(1);

/// What was broken, one line each; empty where all is well.
pub(crate) type Verdict = Vec<String>;

#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) good: BTreeSet<String>,
    pub(crate) manners: Manners,
    /// Answers to new-order that no row may have been written after.
    pub(crate) new_orders_lost: u64,
    /// Of these, those that nobody has ever read.
    pub(crate) untold: u64,
}

pub(crate) async fn judge(world: &World, expected: &Expected) -> anyhow::Result<Verdict> {
    let ca = world.ca.rehearsal().context("a rehearsal CA")?;
    let mut verdict = Verdict::new();
    let authorizations = ca.authorizations(None);
    room(&authorizations, &mut verdict);
    settled(&authorizations, expected, &mut verdict);
    failures(&authorizations, &mut verdict);
    keys(world, ca, &mut verdict).await?;
    nothing_twice(world, ca, expected, &mut verdict).await?;
    let audit = ca.audit();
    if audit.rate_limited > 0 {
        verdict.push(format!("I5 the CA refused {} requests for a limit", audit.rate_limited));
    }
    nothing_held(world, &mut verdict).await?;
    let missing: Vec<_> = expected.good.difference(&certified(world).await?).cloned().collect();
    if !missing.is_empty() {
        verdict.push(format!("I12 good names without a certificate: {}", missing.join(" ")));
    }
    Ok(verdict)
}

/// The names that have a certificate.
pub(crate) async fn certified(world: &World) -> anyhow::Result<BTreeSet<String>> {
    let names: Vec<String> = sqlx::query_scalar("select distinct unnest(names) from issued_certificates")
        .fetch_all(world.store.pool())
        .await?;
    Ok(names.into_iter().collect())
}

/// I1: never more pending than the cap.
fn room(authorizations: &[AuthorizationRecord], verdict: &mut Verdict) {
    let mut changes: Vec<(Timestamp, i64)> = Vec::new();
    for authorization in authorizations {
        for line in &authorization.history {
            match line.event {
                Event::Created => changes.push((line.at, 1)),
                Event::Validated | Event::Failed | Event::DeactivatedWhilePending => {
                    changes.push((line.at, -1));
                }
                Event::Expired => {
                    let was_pending = !authorization.history.iter().any(|one| one.event == Event::Validated);
                    if was_pending {
                        changes.push((line.at, -1));
                    }
                }
                Event::Submitted | Event::Reused | Event::VerdictDropped | Event::DeactivatedWhileValid => {}
            }
        }
    }
    // What ends at an instant has made room for what begins at it.
    changes.sort_unstable();
    let (mut pending, mut peak) = (0, 0);
    for (_, change) in changes {
        pending += change;
        peak = peak.max(pending);
    }
    if peak > i64::from(PENDING_MAX) {
        verdict.push(format!("I1 {peak} authorizations were pending at once, and {PENDING_MAX} may be"));
    }
}

/// I2: each one submitted or given up, none left to expire.
fn settled(authorizations: &[AuthorizationRecord], expected: &Expected, verdict: &mut Verdict) {
    let settled = |event: &Event| {
        matches!(event, Event::Submitted | Event::DeactivatedWhilePending | Event::DeactivatedWhileValid)
    };
    let unsettled: Vec<_> =
        authorizations.iter().filter(|one| !one.history.iter().any(|line| settled(&line.event))).collect();
    let open: Vec<_> = authorizations.iter().filter(|one| one.status == "pending").collect();
    // A CA that neither lists nor gives out again keeps to itself what a lost answer has made.
    let untold = if expected.manners == Manners::Forgetful { expected.untold * 4 } else { 0 };
    if open.len() as u64 > untold {
        let names: Vec<_> = open.iter().map(|one| one.name.as_str()).collect();
        verdict.push(format!("I2 pending at the end: {}", names.join(" ")));
    }
    if unsettled.len() as u64 > untold {
        let names: Vec<_> = unsettled.iter().map(|one| format!("{} ({})", one.name, one.status)).collect();
        verdict.push(format!("I2 never settled: {}", names.join(" ")));
    }
}

/// I6: no name fails more often in an hour than a CA counts.
fn failures(authorizations: &[AuthorizationRecord], verdict: &mut Verdict) {
    let mut failed: BTreeMap<&str, Vec<Timestamp>> = BTreeMap::new();
    for authorization in authorizations {
        let counts = |event: &Event| matches!(event, Event::Failed | Event::DeactivatedWhilePending);
        let lines = authorization.history.iter().filter(|line| counts(&line.event));
        failed.entry(&authorization.name).or_default().extend(lines.map(|line| line.at));
    }
    for (name, mut instants) in failed {
        instants.sort_unstable();
        let most = instants
            .iter()
            .map(|first| instants.iter().filter(|at| *at >= first && first.until(**at) < HOUR).count())
            .max();
        if let Some(most) = most.filter(|most| *most > FAILURES_MAX) {
            verdict.push(format!("I6 {name} failed {most} times within an hour"));
        }
    }
}

/// I3: each certificate the CA has signed is here, with its key.
async fn keys(world: &World, ca: &RehearsalCa, verdict: &mut Verdict) -> anyhow::Result<()> {
    let rows = sqlx::query(
        "select serial, order_id, key_sealed, spki_sha256, csr_received_at is not null or deleted_at is not null
         from issued_certificates join certificates using (certificate_id)",
    )
    .fetch_all(world.store.pool())
    .await?;
    let mut stored = HashMap::new();
    for row in rows {
        let serial: String = row.try_get(0)?;
        let kept: (Uuid, Option<Vec<u8>>, Vec<u8>, bool) =
            (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
        stored.insert(u128::from_str_radix(&serial, 16)?, kept);
    }
    let sealer = Sealer::new(&MasterKey::load(&world.master_key())?);
    for certificate in ca.certificates() {
        let (_, parsed) = parse_x509_certificate(&certificate.der)?;
        // Its first byte may be a zero that only says that the number is not negative.
        let serial =
            parsed.raw_serial().iter().fold(0_u128, |serial, byte| (serial << 8) | u128::from(*byte));
        let Some((order, key_sealed, spki_sha256, may_lack_key)) = stored.get(&serial) else {
            verdict.push(format!("I3 the certificate for {} is lost", certificate.names.join(" ")));
            continue;
        };
        let certified = lockkeeper_tests::sha256(parsed.public_key().raw);
        let context = format!("orders/{}/key", issuance::ids::OrderId(*order));
        let is_here = match key_sealed {
            Some(sealed) => {
                let opened = sealer.open(&context, sealed).ok();
                let key = opened.and_then(|key| CertificateKey::from_pkcs8(key.expose_secret()).ok());
                key.is_some_and(|key| key.spki_sha256() == certified)
            }
            // Its owner keeps it, or it was erased with the certificate.
            None => *may_lack_key,
        };
        if !is_here || *spki_sha256 != certified {
            verdict.push(format!("I3 the certificate for {} has no key", certificate.names.join(" ")));
        }
    }
    Ok(())
}

/// I4: no certificate twice, and no order at the CA that nobody has asked for.
async fn nothing_twice(
    world: &World,
    ca: &RehearsalCa,
    expected: &Expected,
    verdict: &mut Verdict,
) -> anyhow::Result<()> {
    let audit = ca.audit();
    let mut certified: BTreeMap<Vec<String>, u32> = BTreeMap::new();
    for certificate in ca.certificates() {
        *certified.entry(certificate.names).or_default() += 1;
    }
    for (names, times) in certified.into_iter().filter(|(_, times)| *times > 1) {
        verdict.push(format!("I4 {} was certified {times} times", names.join(" ")));
    }
    let known: i64 = sqlx::query_scalar("select count(distinct ca_order_url) from orders")
        .fetch_one(world.store.pool())
        .await?;
    let unknown = audit.orders.saturating_sub(u64::try_from(known)?);
    if unknown > expected.new_orders_lost {
        verdict.push(format!(
            "I4 {unknown} orders at the CA are in no row, and {} answers were lost",
            expected.new_orders_lost
        ));
    }
    // Windows are polled as well, but no order hangs on a poll: one that fails is made again (`reconcile::windows`).
    for endpoint in ["revoke-cert", "revoke_cert"] {
        if audit.requests.get(endpoint).is_some_and(|count| *count > 0) {
            verdict.push(format!("requests to {endpoint} are made, and no cell strikes them"));
        }
    }
    Ok(())
}

/// I7 and I8: nobody holds anything, nothing that should move rests, and each order has an end or knows its cause.
async fn nothing_held(world: &World, verdict: &mut Verdict) -> anyhow::Result<()> {
    let now = instant(world.clock.now());
    for (what, query) in [
        ("leases are held", "select count(*) from orders where lease_holder is not null"),
        (
            "flights of orders at rest",
            "select count(*) from flights join orders using (order_id)
             where due_at is null or stage in ('accepted', 'parked')",
        ),
        (
            "reservations of orders at rest that nothing was lost of",
            "select count(*) from orders where reserved_authorizations > 0 and due_at is null
             and ca_order_url is not null and hold_until <= $1",
        ),
        ("orders that should move", "select count(*) from orders where due_at <= $1 and stage <> 'parked'"),
        (
            "authorizations in the ledger that are not final, of orders at rest",
            "select count(*) from authorizations join orders using (order_id)
             where final_at is null and due_at is null",
        ),
    ] {
        let count: i64 = if query.contains("$1") {
            sqlx::query_scalar(query).bind(now).fetch_one(world.store.pool()).await?
        } else {
            sqlx::query_scalar(query).fetch_one(world.store.pool()).await?
        };
        if count > 0 {
            verdict.push(format!("I7 {count} {what}"));
        }
    }
    for order in world.orders().await? {
        let has_ended =
            matches!(order.stage.as_str(), "issued" | "failed" | "cancelled") && order.due_at.is_none();
        let is_parked = order.stage == "parked" && order.due_at.is_some() && order.fault_class.is_some();
        if !has_ended && !is_parked {
            verdict.push(format!("I8 an order without an end: {order:?}"));
        }
    }
    Ok(())
}
