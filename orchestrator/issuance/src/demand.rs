//! What is wanted of a limit in the time to come, against what will be there.

use std::time::Duration;

use crate::gcra::Bucket;
use crate::time::Timestamp;

/// How far ahead is looked, shortest first.
pub const HORIZONS: [Duration; 3] =
    [Duration::from_hours(1), Duration::from_hours(24), Duration::from_hours(7 * 24)];

/// When a bucket has nothing left if `wanted` tokens are asked for within each of [`HORIZONS`], evenly between them.
/// `None`: not within the longest one. An empty bucket is exhausted now, if anything is wanted of it.
pub fn exhausted_at(
    bucket: &Bucket,
    full_at: Timestamp,
    wanted: [u64; 3],
    now: Timestamp,
) -> Option<Timestamp> {
    let there = |within: Duration| {
        let back = within.as_secs_f64() / bucket.refill().as_secs_f64();
        f64::from(bucket.remaining(full_at, now)) + back
    };
    let mut from = (Duration::ZERO, 0.0);
    for (within, wanted) in HORIZONS.into_iter().zip(wanted) {
        let wanted = f64::from(u32::try_from(wanted).unwrap_or(u32::MAX));
        if wanted > there(within) {
            // Both lines are straight between two horizons: they cross once.
            let (since, had) = from;
            let (lead, fall) = (there(since) - had, wanted - had - (there(within) - there(since)));
            let share = if fall > 0.0 { (lead / fall).clamp(0.0, 1.0) } else { 0.0 };
            return Some(now.after(since).after(within.saturating_sub(since).mul_f64(share)));
        }
        from = (within, wanted);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);

    #[test]
    fn demand_meets_supply_where_the_lines_cross() {
        let bucket = Bucket::new(300, 300, Duration::from_hours(3)).expect("a bucket");
        let at = |wanted, full_at| exhausted_at(&bucket, full_at, wanted, NOW);
        assert_eq!(at([0, 0, 0], NOW), None);
        assert_eq!(at([400, 2_700, 17_100], NOW), None, "just what comes back");
        // 800 in an hour: 300 there and 100 an hour to come.
        let first = at([800, 800, 800], NOW).expect("too many");
        assert_eq!(NOW.until(first).as_secs(), 300 * 3_600 / 700);
        assert_eq!(at([1, 1, 1], NOW.after(bucket.horizon())), None, "one comes back in time");
        assert_eq!(at([200, 200, 200], NOW.after(bucket.horizon())), Some(NOW));
        let late = at([0, 0, 20_000], NOW).expect("in the week");
        assert!(NOW.until(late) > Duration::from_hours(24));
    }
}
