//! The fate of a process of its own: `LOCKKEEPER_FAULT=after_commit.placed:3=abort`, several separated by commas.
//!
//! The count is that of times the point is reached, from one; `abort` ends the process there, without a goodbye, and
//! `stop` stops it as SIGSTOP does, until it gets SIGCONT. `hold` keeps whoever gets there, from that time on, for ever: so many
//! pieces of work can be killed at one point by one SIGKILL.

use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fate::Outcome;
use super::point::Point;

/// The variable.
pub const VARIABLE: &str = "LOCKKEEPER_FAULT";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Abort,
    Stop,
    Hold,
}

#[derive(Debug)]
struct Planned {
    point: String,
    nth: u64,
    end: End,
    reached: AtomicU64,
}

impl Planned {
    fn parse(text: &str) -> Option<Self> {
        let (at, end) = text.split_once('=')?;
        let (point, nth) = at.split_once(':').unwrap_or((at, "1"));
        let end = match end {
            "abort" => End::Abort,
            "stop" => End::Stop,
            "hold" => End::Hold,
            _ => return None,
        };
        Some(Self { point: point.to_owned(), nth: nth.parse().ok()?, end, reached: AtomicU64::new(0) })
    }
}

fn planned() -> &'static [Planned] {
    static PLANNED: OnceLock<Vec<Planned>> = OnceLock::new();
    PLANNED.get_or_init(|| {
        let text = std::env::var(VARIABLE).unwrap_or_default();
        let parse = |one| Planned::parse(one).unwrap_or_else(|| panic!("{VARIABLE}: {one:?} is no mishap"));
        text.split(',').filter(|one| !one.is_empty()).map(parse).collect()
    })
}

/// Ends or stops this process, or does not come back, if that is planned for here.
pub(super) async fn meet(point: Point) -> Outcome {
    let plans = planned();
    if plans.is_empty() {
        return Outcome::Unharmed;
    }
    let name = point.to_string();
    for plan in plans.iter().filter(|plan| plan.point == name) {
        let nth = plan.reached.fetch_add(1, Ordering::SeqCst) + 1;
        match plan.end {
            End::Abort if nth == plan.nth => std::process::abort(),
            End::Stop if nth == plan.nth => stop(),
            End::Hold if nth >= plan.nth => std::future::pending().await,
            End::Abort | End::Stop | End::Hold => {}
        }
    }
    Outcome::Unharmed
}

/// The signal reaches this process before the command has ended.
fn stop() {
    let own = std::process::id().to_string();
    let sent = Command::new("kill").args(["-STOP", &own]).status();
    assert!(sent.is_ok_and(|status| status.success()), "this process cannot stop itself");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mishap_is_a_point_a_count_and_an_end() {
        let planned = Planned::parse("after_commit.placed:3=abort").expect("one");
        assert_eq!((&*planned.point, planned.nth, planned.end), ("after_commit.placed", 3, End::Abort));
        let first = Planned::parse("before_request.new_order=stop").expect("one");
        assert_eq!((&*first.point, first.nth, first.end), ("before_request.new_order", 1, End::Stop));
        let held = Planned::parse("before_commit.work=hold").expect("one");
        assert_eq!((&*held.point, held.nth, held.end), ("before_commit.work", 1, End::Hold));
        assert!(
            ["", "placed", "placed=burn", "placed:x=stop"].iter().all(|bad| Planned::parse(bad).is_none())
        );
    }
}
