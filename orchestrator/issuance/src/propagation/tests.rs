use proptest::prelude::*;

use super::*;

use Sighting::{Lame, Missing, NotAsked, Shows, Silent};

fn round(seen: &[(&str, Sighting)]) -> Round {
    Round::of(seen, Quorum::default())
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_seconds(1_795_000_000).after(Duration::from_secs(seconds))
}

const GREEN: Round = Round::Green { complete: true };

#[test]
fn one_server_that_is_behind_outweighs_all_others() {
    assert_eq!(round(&[("a", Shows), ("b", Shows)]), GREEN);
    assert_eq!(round(&[("a", Shows), ("a", Missing), ("b", Shows)]), Round::Missing);
    assert_eq!(round(&[("a", Shows), ("b", Silent), ("c", Missing)]), Round::Missing);
}

#[test]
fn servers_that_cannot_be_asked_count_by_name() {
    let partly = Round::Green { complete: false };
    assert_eq!(round(&[("a", Shows), ("b", Silent)]), partly);
    assert_eq!(round(&[("a", Shows), ("b", Lame), ("c", NotAsked)]), Round::TooFew, "one of three");
    assert_eq!(round(&[("a", Shows), ("a", NotAsked), ("b", Shows)]), partly, "one family is unreachable");
    assert_eq!(round(&[("a", Silent)]), Round::TooFew);
    assert_eq!(round(&[]), Round::TooFew, "no server is no evidence");
    let lenient = Quorum { names_percent: 0 };
    assert_eq!(Round::of(&[("a", Silent)], lenient), Round::TooFew, "one must show it in any case");
}

#[test]
fn two_green_rounds_apart_are_needed() {
    let pace = Pace::default();
    let watch = Watch::begin(at(0));
    let look =
        |watch: Watch, round, now| watch.after(round, ProviderWord::Silent, Duration::ZERO, &pace, now);
    let (watch, next) = look(watch, GREEN, at(0));
    assert_eq!(next, Next::LookAgain(at(5)));
    let (early, next) = look(watch, GREEN, at(3));
    assert_eq!(next, Next::LookAgain(at(5)), "a look that came early changes nothing");
    let (_, next) = look(early, GREEN, at(5));
    assert_eq!(next, Next::Submit { green_for: Duration::from_secs(5) });
    let (interrupted, next) = look(watch, Round::Missing, at(5));
    assert_eq!((interrupted.green_since, next), (None, Next::LookAgain(at(7))));
    let (_, next) = look(interrupted, GREEN, at(7));
    assert_eq!(next, Next::LookAgain(at(12)), "it begins again");
}

#[test]
fn what_was_learnt_or_cannot_be_seen_makes_green_last_longer() {
    let pace = Pace::default();
    let silent = ProviderWord::Silent;
    let (watch, next) = Watch::begin(at(0)).after(GREEN, silent, Duration::from_secs(40), &pace, at(1));
    assert_eq!(next, Next::LookAgain(at(41)));
    let (_, next) = watch.after(GREEN, silent, Duration::from_secs(40), &pace, at(41));
    assert_eq!(next, Next::Submit { green_for: Duration::from_secs(40) });
    let partly = Round::Green { complete: false };
    let (_, next) = Watch::begin(at(0)).after(partly, silent, Duration::ZERO, &pace, at(1));
    assert_eq!(next, Next::LookAgain(at(16)));
}

#[test]
fn a_provider_that_is_not_done_outweighs_green_servers() {
    let pace = Pace::default();
    let look = |word| Watch::begin(at(0)).after(GREEN, word, Duration::ZERO, &pace, at(1));
    assert_eq!(look(ProviderWord::Pending), (Watch::begin(at(0)), Next::LookAgain(at(3))));
    assert_eq!(look(ProviderWord::Done).1, Next::LookAgain(at(6)));
}

#[test]
fn waits_grow_with_the_time_gone_by_and_end() {
    let pace = Pace::default();
    let (mut watch, mut now, mut looks) = (Watch::begin(at(0)), at(0), 0);
    loop {
        looks += 1;
        let (after, next) = watch.after(Round::Missing, ProviderWord::Silent, Duration::ZERO, &pace, now);
        watch = after;
        match next {
            Next::LookAgain(again) => {
                let (wait, elapsed) = (now.until(again), at(0).until(now));
                assert!(wait <= (elapsed / 16).max(Duration::from_secs(2)), "{wait:?} after {elapsed:?}");
                now = again;
            }
            Next::GiveUp => break,
            Next::Submit { .. } => panic!("nothing was seen"),
        }
    }
    assert_eq!(now, at(600));
    assert!((60..90).contains(&looks), "{looks} looks in ten minutes");
}

proptest! {
    /// Nothing is submitted without two green rounds at least the gap apart, nor before what was learnt.
    #[test]
    fn a_submission_has_two_green_rounds_behind_it(
        rounds in prop::collection::vec((0_u8..4, 0_u64..90), 1..40),
        settle in 0_u64..60,
    ) {
        let (pace, settle) = (Pace::default(), Duration::from_secs(settle));
        let (mut watch, mut now) = (Watch::begin(at(0)), at(0));
        let mut greens: Vec<Timestamp> = Vec::new();
        for (kind, wait) in rounds {
            now = now.after(Duration::from_secs(wait));
            let round = match kind {
                0 => Round::Missing,
                1 => Round::TooFew,
                kind => Round::Green { complete: kind == 2 },
            };
            if matches!(round, Round::Green { .. }) { greens.push(now) } else { greens.clear() }
            let (after, next) = watch.after(round, ProviderWord::Silent, settle, &pace, now);
            watch = after;
            match next {
                Next::Submit { green_for } => {
                    prop_assert!(greens.len() >= 2);
                    prop_assert_eq!(green_for, greens[0].until(now));
                    prop_assert!(green_for >= pace.gap.max(settle));
                }
                Next::LookAgain(again) => prop_assert!(again > now),
                Next::GiveUp => prop_assert!(at(0).until(now) >= pace.total && greens.is_empty()),
            }
        }
    }

    /// More evidence against never helps: a round that is green stays at most green when an address is added.
    #[test]
    fn a_missing_value_anywhere_is_never_green(
        seen in prop::collection::vec((0_usize..4, 0_usize..5), 0..12),
        name in 0_usize..4,
    ) {
        const NAMES: [&str; 4] = ["a", "b", "c", "d"];
        const KINDS: [Sighting; 5] = [Shows, Missing, Lame, Silent, NotAsked];
        let mut seen: Vec<_> = seen.into_iter().map(|(name, kind)| (NAMES[name], KINDS[kind])).collect();
        seen.push((NAMES[name], Missing));
        prop_assert_eq!(round(&seen), Round::Missing);
    }
}
