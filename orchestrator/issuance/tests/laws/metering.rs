//! The token bucket against a bucket of tokens.
//!
//! [`Bucket`] keeps one instant, as Boulder does. The reference keeps what the documentation talks about: a bucket that
//! holds so many tokens at the most, into which they drip evenly, and from which each request takes one that is whole.
//! It counts in exact fractions of a token and knows nothing of the other's arithmetic.
//!
//! ```sh
//! SEED=7 cargo nextest run -p issuance -E 'test(drip)'    # one sequence again
//! ```

use std::time::Duration;

use issuance::gcra::{Bucket, Decision};
use issuance::limit::{Limit, LimitName};
use issuance::time::Timestamp;

const SEQUENCES: u64 = 1_000_000;
const START: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);

/// A bucket whose level is `parts / period` tokens at `at`.
#[derive(Debug, Clone, Copy)]
struct Drips {
    burst: i128,
    count: i128,
    /// In microseconds: `count` tokens drip in, in this time.
    period: i128,
    /// Below nothing, if it was learnt that there is none for a while.
    parts: i128,
    at: i128,
}

impl Drips {
    fn full(limit: Limit) -> Self {
        let (burst, period) = (i128::from(limit.burst), i128::from(limit.period_seconds) * 1_000_000);
        Self { burst, count: i128::from(limit.count), period, parts: burst * period, at: micros(START) }
    }

    fn let_drip(&mut self, now: i128) {
        self.parts = (self.parts + self.count * (now - self.at)).min(self.burst * self.period);
        self.at = now;
    }

    /// Takes tokens, or says when they are there.
    fn take(&mut self, tokens: u32) -> Result<(), i128> {
        let wanted = i128::from(tokens) * self.period;
        if self.parts >= wanted {
            self.parts -= wanted;
            return Ok(());
        }
        let (missing, count) = (wanted - self.parts, self.count);
        Err(self.at + (missing + count - 1) / count)
    }

    fn put_back(&mut self, tokens: u32) {
        self.parts = (self.parts + i128::from(tokens) * self.period).min(self.burst * self.period);
    }

    /// It was learnt that the next token is there at that instant.
    fn learn(&mut self, next_token_at: i128) {
        self.parts = self.period - self.count * (next_token_at - self.at);
    }

    fn whole(&self) -> i128 {
        (self.parts / self.period).max(0)
    }
}

fn micros(at: Timestamp) -> i128 {
    i128::from(at.unix_micros())
}

/// `SplitMix64` (Steele, Lea and Flood, 2014).
struct Draw(u64);

impl Draw {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0, below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    /// Real limits, and such numbers as make whole microseconds of one token; others are cut, at Boulder to a
    /// nanosecond.
    fn limit(&mut self) -> Limit {
        let hour = 3_600;
        let numbers = match self.below(8) {
            0 => (300, 300, 3 * hour),
            1 => (50, 50, 168 * hour),
            2 => (5, 5, 168 * hour),
            3 => (5, 5, hour),
            4 => (1_152, 1, 24 * hour),
            5 => (10, 10, 3 * hour),
            _ => {
                let count = 1 << self.below(6);
                (1 + self.below(40) as u32, count, 1 + self.below(1_000_000))
            }
        };
        let (burst, count, period_seconds) = numbers;
        Limit { name: LimitName::NewOrdersPerAccount, burst, count, period_seconds }
    }

    /// Often no time at all, or to the microsecond when a token comes.
    fn pause(&mut self, refill: Duration) -> Duration {
        let micro = Duration::from_micros(1);
        match self.below(8) {
            0..=2 => Duration::ZERO,
            3 => refill,
            4 => refill.saturating_sub(micro),
            5 => refill + micro,
            6 => refill.mul_f64(self.below(1_000) as f64 / 100.0),
            _ => Duration::from_micros(self.below(10_000_000_000)),
        }
    }
}

/// A life of one bucket, in both.
fn play(seed: u64) {
    let mut draw = Draw(seed);
    let limit = draw.limit();
    let bucket = limit.bucket().expect("numbers of a bucket");
    let (mut full_at, mut now, mut drips) = (START, START, Drips::full(limit));
    for step in 0..4 + draw.below(16) {
        now = now.after(draw.pause(bucket.refill()));
        drips.let_drip(micros(now));
        let told = || format!("SEED={seed}, step {step} of {limit:?}, {drips:?}");
        assert_eq!(i128::from(bucket.remaining(full_at, now)), drips.whole(), "{}", told());
        let next = drips.clone().take(1).err().unwrap_or(micros(now));
        assert_eq!(micros(bucket.next_token_at(full_at, now)), next, "{}", told());
        match draw.below(8) {
            0 => {
                let tokens = 1 + draw.below(3) as u32;
                full_at = bucket.refund(full_at, tokens, now);
                drips.put_back(tokens);
            }
            1 if draw.below(4) == 0 => {
                let next_token_at = now.after(draw.pause(bucket.refill()));
                full_at = bucket.emptied_until(next_token_at);
                drips.learn(micros(next_token_at));
            }
            _ => {
                let tokens = if draw.below(3) == 0 { 1 + draw.below(limit.burst.into()) as u32 } else { 1 };
                let taken = drips.take(tokens);
                match bucket.spend(full_at, tokens, now) {
                    Decision::Granted { full_at: after } => {
                        assert_eq!(taken, Ok(()), "SEED={seed}, step {step}: granted {tokens}");
                        full_at = after;
                    }
                    Decision::Denied { retry_at } => {
                        assert_eq!(taken, Err(micros(retry_at)), "SEED={seed}, step {step}: denied {tokens}");
                    }
                }
            }
        }
    }
}

/// A million lives, and no difference. `SEED=…` plays one again.
#[test]
fn the_bucket_does_what_one_does_into_which_tokens_drip() {
    let seeds = match std::env::var("SEED").ok().and_then(|text| text.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..SEQUENCES,
    };
    for seed in seeds {
        play(seed);
    }
}

/// Burst, tokens and seconds, and the pace in words, as Let's Encrypt documents them.
#[test]
fn tokens_come_back_at_the_documented_pace() {
    let hour = 3_600;
    for (burst, count, period_seconds, every) in [
        (10, 10, 3 * hour, Duration::from_mins(18)),
        (500, 500, 3 * hour, Duration::from_millis(21_600)),
        (300, 300, 3 * hour, Duration::from_secs(36)),
        (50, 50, 168 * hour, Duration::from_secs(12_096)),
        (5, 5, 168 * hour, Duration::from_mins(2_016)),
        (5, 5, hour, Duration::from_mins(12)),
        (1_152, 1, 24 * hour, Duration::from_hours(24)),
    ] {
        let bucket = Bucket::new(burst, count, Duration::from_secs(period_seconds)).expect("a bucket");
        let mut full_at = START;
        for _ in 0..burst {
            let Decision::Granted { full_at: after } = bucket.spend(full_at, 1, START) else {
                panic!("the whole burst is there at once");
            };
            full_at = after;
        }
        let mut now = START;
        for _ in 0..3 {
            let retry_at = now.after(every);
            assert_eq!(bucket.spend(full_at, 1, now), Decision::Denied { retry_at });
            let Decision::Granted { full_at: after } = bucket.spend(full_at, 1, retry_at) else {
                panic!("one is back");
            };
            (full_at, now) = (after, retry_at);
        }
        let rested = now.after(every * burst);
        assert_eq!(bucket.remaining(full_at, rested), burst, "all are");
    }
}
