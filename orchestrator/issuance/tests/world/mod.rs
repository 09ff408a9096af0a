//! Thousands of stories: a CA, a service that crashes, and a network that loses things.

mod ca;
mod chance;
mod service;
mod story;
mod wire;

use std::collections::BTreeMap;
use std::panic::catch_unwind;

use story::World;

const SEEDS: u64 = 2_000;

/// Whatever is lost, and wherever the process dies: intents precede acts, the budget never undercounts,
/// nothing stays open, nothing is certified twice, every failure is retried once, and every order comes to
/// rest without ever turning in circles. `SEED=…` replays one story, and a
/// story that ends badly is told with its seed.
#[test]
fn every_story_ends_well() {
    let seeds = match std::env::var("SEED").ok().and_then(|text| text.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..SEEDS,
    };
    let told = seeds.end - seeds.start;
    let mut outcomes = BTreeMap::<_, u64>::new();
    let (mut resumed, mut paced) = (0, 0);
    for seed in seeds {
        let play = |told| {
            let mut world = World::new(seed, told);
            world.run();
            (world.outcomes().collect::<Vec<_>>(), world.resumed, world.paced)
        };
        let Ok((ends, resumed_here, paced_here)) = catch_unwind(|| play(false)) else {
            // Played again, to be told.
            play(true);
            panic!("SEED={seed} ends well when it is told");
        };
        resumed += resumed_here;
        paced += paced_here;
        for end in ends {
            *outcomes.entry(end).or_default() += 1;
        }
    }
    if told == SEEDS {
        // A simulation in which nothing ever works, or nothing ever breaks, proves nothing.
        assert!(outcomes.get("issued") > Some(&SEEDS), "{outcomes:?}");
        assert!(outcomes.get("failed") > Some(&(SEEDS / 10)), "{outcomes:?}");
        assert!(outcomes.get("cancelled") > Some(&0), "{outcomes:?}");
        assert!(resumed > SEEDS / 10 && paced > SEEDS / 50, "{resumed} resumed, {paced} paced");
    }
}
