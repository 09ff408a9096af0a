//! Instants, spans and numbers as people say them.

use std::time::Duration;

use issuance::time::Timestamp;
use maud::{Markup, html};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The largest unit and what is left of the next: `3 min`, `5 h 20 min`, `12 d`.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let pair = |big: u64, unit, small: u64, rest| match (seconds / big, seconds % big / small) {
        (count, 0) => format!("{count} {unit}"),
        (count, _) if count >= 10 => format!("{count} {unit}"),
        (count, more) => format!("{count} {unit} {more} {rest}"),
    };
    match seconds {
        0..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => pair(MINUTE, "min", 1, "s"),
        HOUR..DAY => pair(HOUR, "h", MINUTE, "min"),
        _ => pair(DAY, "d", HOUR, "h"),
    }
}

/// How far an instant is from now, in words.
pub(super) fn distance(now: Timestamp, at: Timestamp) -> String {
    if at > now {
        format!("in {}", span(now.until(at)))
    } else if now.since(at) < Duration::from_secs(1) {
        "now".to_owned()
    } else {
        format!("{} ago", span(now.since(at)))
    }
}

/// An instant: how far it is, and what it is exactly.
pub(super) fn instant(now: Timestamp, at: Timestamp) -> Markup {
    html! { time datetime=(at) title=(at) { (distance(now, at)) } }
}

/// The same, or a dash.
pub(super) fn instant_or_dash(now: Timestamp, at: Option<Timestamp>) -> Markup {
    at.map_or_else(dash, |at| instant(now, at))
}

pub(super) fn dash() -> Markup {
    html! { span.quiet { "–" } }
}

/// A number with its thousands apart.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A word of the API as words: `rate_limited` is `rate limited`.
pub(super) fn plain(word: &str) -> String {
    word.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_as_long_as_one_reads_them() {
        let said = |seconds| span(Duration::from_secs(seconds));
        let all = [0, 59, 60, 61, 3_600, 4_800, 86_399, 86_400, 90_000, 1_209_600].map(said);
        assert_eq!(
            all,
            ["0 s", "59 s", "1 min", "1 min 1 s", "1 h", "1 h 20 min", "23 h", "1 d", "1 d 1 h", "14 d"]
        );
    }

    #[test]
    fn numbers_have_their_thousands_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn the_past_and_the_future_are_told_apart() {
        let now = Timestamp::from_unix_seconds(1_000);
        assert_eq!(distance(now, now.after(Duration::from_secs(90))), "in 1 min 30 s");
        assert_eq!(distance(now, now.before(Duration::from_secs(5))), "5 s ago");
        assert_eq!(distance(now, now), "now");
    }
}
