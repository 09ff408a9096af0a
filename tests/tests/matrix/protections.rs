//! The matrix can see: without any one of the protections a part of it is red, and with it the same part is green.

use lockkeeper::acme::Endpoint;
use lockkeeper::mishaps::{Act, Moment, Point, Protection};
use lockkeeper_tests::fate::Mishap;
use lockkeeper_tests::flaky_transport::{RequestKind, Strike};

use crate::cell::{Cell, Fault, Manners};
use crate::drive::Rests;
use crate::life::{Setting, verdict_of};
use crate::scenery::good_sites;
use crate::table;

/// A fault that only this protection keeps from doing harm, and what is seen of it otherwise.
struct Reliance {
    protection: Protection,
    cell: Cell,
    setting: Setting,
    /// The invariants of which at least one must be found broken.
    broken: &'static [&'static str],
}

fn at(moment: Moment, act: Act, what: &'static str, mishap: Mishap) -> Fault {
    Fault::AtPoint { point: Point { moment, act, what }, nth: 1, mishap }
}

fn cell(fault: Fault, new_orders_lost: u64) -> Cell {
    Cell { faults: vec![fault], manners: Manners::Boulder, new_orders_lost }
}

fn reliance(protection: Protection) -> Reliance {
    let good = |count, names| Setting { sites: Some(good_sites(count, names)), ..Setting::default() };
    match protection {
        // Three orders of four names each are at the CA, and nobody knows: there is no room for another.
        Protection::ReservationBeforeCall => Reliance {
            protection,
            cell: cell(at(Moment::After, Act::Step, "place", Mishap::Crash), 3),
            setting: Setting { permits: Some(8), ..good(8, 4) },
            broken: &["I1", "I5"],
        },
        // The first answers are lost: all the room there is goes to what nobody knows, and none is left for asking.
        Protection::RecoveryReserve => Reliance {
            protection,
            cell: cell(
                Fault::AtRequests {
                    kind: RequestKind::To(Endpoint::Directory),
                    from: 0,
                    count: 1,
                    strike: Strike::DropRequest,
                },
                3,
            ),
            setting: Setting { permits: Some(8), ..good(6, 4) },
            broken: &["I2"],
        },
        // It wakes when others have brought the order to its end, and writes what it knew.
        Protection::EpochInWrite => Reliance {
            protection,
            cell: cell(at(Moment::After, Act::Step, "submit", Mishap::Stall), 0),
            // What was issued is ordered once more when the names have rested.
            setting: Setting { rests: Rests::AreWaitedOut, ..good(3, 2) },
            broken: &["I3", "I4"],
        },
        // The certificate is there, and its key is not.
        Protection::KeyBeforeFinalize => Reliance {
            protection,
            cell: cell(at(Moment::After, Act::Step, "finalize", Mishap::Crash), 0),
            setting: good(3, 2),
            broken: &["I3"],
        },
        // It wakes with the address of an order that nobody else knows, at a CA that tells nobody.
        Protection::OrphanInbox => Reliance {
            protection,
            cell: Cell {
                manners: Manners::Forgetful,
                ..cell(at(Moment::After, Act::Request, "new_order", Mishap::Stall), 0)
            },
            setting: good(3, 2),
            broken: &["I2"],
        },
    }
}

async fn is_relied_upon(protection: Protection) -> anyhow::Result<()> {
    let reliance = reliance(protection);
    let seed = table::seed()?;
    let without = Setting { lacking: Some(reliance.protection), ..reliance.setting.clone() };
    let red = verdict_of(&reliance.cell, seed, without).await;
    let seen = red.iter().any(|line| reliance.broken.iter().any(|word| line.starts_with(word)));
    assert!(seen, "without {protection:?} one of {:?} is broken, and seen is {red:#?}", reliance.broken);
    let green = verdict_of(&reliance.cell, seed, reliance.setting).await;
    assert_eq!(green, Vec::<String>::new(), "with {protection:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reservation_before_the_call_keeps_the_cap() -> anyhow::Result<()> {
    is_relied_upon(Protection::ReservationBeforeCall).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recovery_reserve_keeps_what_is_in_doubt_from_being_left() -> anyhow::Result<()> {
    is_relied_upon(Protection::RecoveryReserve).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_epoch_in_the_write_keeps_the_overtaken_from_writing() -> anyhow::Result<()> {
    is_relied_upon(Protection::EpochInWrite).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_before_finalize_keeps_certificates_usable() -> anyhow::Result<()> {
    is_relied_upon(Protection::KeyBeforeFinalize).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_orphan_inbox_keeps_what_is_learnt_too_late() -> anyhow::Result<()> {
    is_relied_upon(Protection::OrphanInbox).await
}
