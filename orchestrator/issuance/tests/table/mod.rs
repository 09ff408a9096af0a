//! The whole transition table: every stage, every answer; and the step of every stage.
//!
//! The tables stand beside this file as text, to be read. A difference fails the test and prints the table as
//! it is; a change that is meant is made there too.

mod answers;
mod stages;

use std::fmt::Write as _;
use std::time::Duration;

use issuance::answer::{Applied, Consequence, Context, Wake};
use issuance::authorization::{Authorization, ValidationMethod};
use issuance::order::Order;
use issuance::profile::CaProfile;
use issuance::step::{Knowledge, Step};
use issuance::time::{Fraction, Timestamp};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);

/// Whatever is answered at whatever stage: the next stage, when it is due, what may be taken for granted,
/// whether it must be durable first, and what follows. What no step asks for is refused.
#[test]
fn every_answer_at_every_stage() {
    let mut tables: Vec<(Vec<&str>, String)> = Vec::new();
    for (name, order) in stages::all() {
        let table = answers_at(&order);
        match tables.iter_mut().find(|(_, other)| *other == table) {
            Some((names, _)) => names.push(name),
            None => tables.push((vec![name], table)),
        }
    }
    let mut table = String::new();
    for (names, of_stage) in tables {
        writeln!(table, "{}\n{of_stage}", names.join(" | ")).expect("a string takes it");
    }
    compare(&table, include_str!("transitions.txt"));
}

/// What is done next, for whoever knows that nothing was sent and for whoever does not, and for each way in
/// which a CA lets a lost order be found.
#[test]
fn the_step_of_every_stage() {
    let mut table = String::new();
    for (name, order) in stages::all() {
        for knowledge in [Knowledge::Certain, Knowledge::Loaded] {
            let steps = [Recovery::Lists, Recovery::Asks, Recovery::None]
                .map(|recovery| step_told(&order.next_step(knowledge, &profile(recovery), NOW)));
            let [lists, asks, none] = &steps;
            let steps = if lists == asks && asks == none { lists.clone() } else { steps.join(" | ") };
            writeln!(table, "{name:<22} {:<8} {steps}", format!("{knowledge:?}")).expect("a string takes it");
        }
    }
    compare(&table, include_str!("steps.txt"));
}

/// Ending an order at the tenant's wish is refused exactly while the CA may have what we do not know of.
#[test]
fn every_stage_that_can_be_cancelled() {
    let mut table = String::new();
    for (name, order) in stages::all() {
        let told = match order.cancel(NOW) {
            Ok(applied) => told(&applied),
            Err(error) => error.to_string(),
        };
        writeln!(table, "{name:<22} {told}").expect("a string takes it");
    }
    compare(&table, include_str!("cancels.txt"));
}

/// One line for each outcome, and the answers that lead to it.
fn answers_at(order: &Order) -> String {
    let profile = profile(Recovery::Asks);
    let context = Context { now: NOW, jitter: Fraction::ZERO, profile: &profile };
    let mut outcomes: Vec<(String, Vec<&str>)> = Vec::new();
    for (name, answer) in answers::all() {
        let outcome = match order.clone().apply(answer, &context) {
            Ok(applied) => told(&applied),
            Err(error) => {
                assert_eq!(error.stage, order.stage.as_str());
                "refused".to_owned()
            }
        };
        match outcomes.iter_mut().find(|(other, _)| *other == outcome) {
            Some((_, names)) => names.push(name),
            None => outcomes.push((outcome, vec![name])),
        }
    }
    outcomes.sort_by_key(|(outcome, _)| outcome == "refused");
    let mut table = String::new();
    for (outcome, names) in outcomes {
        let names = if outcome == "refused" { "everything else".to_owned() } else { names.join(", ") };
        writeln!(table, "  {names}\n    {outcome}").expect("a string takes it");
    }
    table
}

fn compare(is: &str, wanted: &str) {
    let mut lines = is.lines().zip(wanted.lines());
    if let Some((is_line, wanted_line)) = lines.find(|(one, other)| one != other) {
        panic!("the table as it is:\n\n{is}\nfirst difference:\n  is     {is_line}\n  wanted {wanted_line}");
    }
    assert!(is == wanted, "the table as it is:\n\n{is}\nits length differs");
}

fn told(applied: &Applied) -> String {
    let Applied { order, wake, knowledge, must_commit, consequences } = applied;
    let wake = match wake {
        Wake::Now => "now".to_owned(),
        Wake::At(at) => format!("+{:?}", NOW.until(*at)),
        Wake::Never => "never".to_owned(),
    };
    let mut text = format!("-> {:<10} {wake:<7} {knowledge:?}", order.stage.as_str());
    if *must_commit {
        text.push_str(" commit");
    }
    if let Some(reservation) = order.stage.reservation().filter(|one| one.units > 0) {
        write!(text, " holds={}", reservation.units).expect("a string takes it");
    }
    let newly = |intended: fn(&Authorization) -> Option<Timestamp>| {
        let all = order.authorizations.iter().enumerate();
        all.filter(|(_, one)| intended(one) == Some(NOW)).map(|(index, _)| index).collect::<Vec<_>>()
    };
    let submits = newly(|one| one.submit_intended_at.filter(|_| one.submitted_at.is_none()));
    let deactivates = newly(|one| one.deactivate_intended_at);
    for (intent, indexes) in [("submits", submits), ("deactivates", deactivates)] {
        if !indexes.is_empty() {
            write!(text, " {intent}{indexes:?}").expect("a string takes it");
        }
    }
    for consequence in consequences {
        let consequence = match consequence {
            Consequence::NameFailed { hostname, fault, at_ca } => {
                format!("failed({hostname}, {}, at_ca={at_ca})", fault.class.as_str())
            }
            Consequence::Split { names } => format!("split({})", names.canonical()),
            Consequence::Retry { fault } => format!("retry({})", fault.class.as_str()),
            Consequence::Limited { lesson } => {
                let limit = lesson.told.as_ref().map_or("account", |told| told.limit.as_str());
                format!("limited({limit}, +{:?})", NOW.until(lesson.until))
            }
            Consequence::Paused { hostnames, .. } => format!("paused({hostnames:?})"),
            Consequence::Charged { hostname, .. } => format!("charged({hostname})"),
            Consequence::Busy { until } => format!("busy(+{:?})", NOW.until(*until)),
            Consequence::Unspent => "unspent".to_owned(),
            Consequence::AccountStopped { .. } => "account_stopped".to_owned(),
        };
        write!(text, " {consequence}").expect("a string takes it");
    }
    text
}

fn step_told(step: &Step) -> String {
    match step {
        Step::ReadAuthorizations(indexes)
        | Step::CheckServed(indexes)
        | Step::Submit(indexes)
        | Step::Deactivate(indexes) => format!("{}{indexes:?}", step.as_str()),
        Step::Wait(until) => format!("wait +{:?}", NOW.until(*until)),
        step => step.as_str().to_owned(),
    }
}

/// How a CA lets an order be found whose answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recovery {
    Lists,
    Asks,
    None,
}

/// Quiet for two minutes, patient for one with a submission, and a charge for each deactivation.
pub(crate) fn profile(recovery: Recovery) -> CaProfile {
    CaProfile {
        name: "table".into(),
        pending_authorizations_max: 20,
        recovery_reserve: 5,
        charges_deactivation: true,
        reuses_pending_order: recovery == Recovery::Asks,
        lists_orders: recovery == Recovery::Lists,
        resubmit_seconds: 60,
        asks_max: 3,
        poll_first_ms: 1_000,
        poll_max_ms: 15_000,
        ..CaProfile::bare()
    }
}

fn ago(seconds: u64) -> Timestamp {
    NOW.before(Duration::from_secs(seconds))
}

fn ahead(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

/// The order of all stages: two names, as the tenant wished them.
fn order_of(stage: issuance::order::Stage) -> Order {
    let names = answers::hostnames();
    Order {
        names: issuance::identifier::Identifiers::new(names).expect("a set"),
        method: ValidationMethod::Http01,
        profile: None,
        replaces: None,
        exemptions: issuance::exemption::Exemptions::NONE,
        stage,
        authorizations: Vec::new(),
        looks: 0,
        failures: 0,
        split: false,
        parted: 0,
    }
}
