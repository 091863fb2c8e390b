//! A receiver whose machine has no time for a moment is not a path without room.

use std::time::Duration;

use super::world::{Setup, Stalls, World};

const SEEDS: std::ops::Range<u64> = 1..21;
/// What three videos take.
const TILES: u64 = 1_500_000;

/// A path with room for thirty of them, to a machine of little.
fn wide(seed: u64, feedback: u64, stalls: Stalls) -> Setup {
    Setup {
        seed,
        capacity: vec![(0.0, 50_000_000)],
        one_way: Duration::from_millis(2),
        feedback: Duration::from_millis(feedback),
        frames: true,
        demand: vec![(0.0, TILES)],
        pacing: 1.1,
        stalls: Some(stalls),
        ..Setup::default()
    }
}

#[test]
fn a_machine_without_time_is_not_a_path_without_room() {
    let long = Stalls { length: (50, 1500), apart: (300, 3000), reads: 40, only_reports: false };
    let short = Stalls { length: (5, 120), apart: (5, 200), reads: 5, only_reports: false };
    let mut short_of_it = Vec::new();
    for (name, stalls) in
        [("long", long), ("short", short), ("only reports", Stalls { only_reports: true, ..long })]
    {
        for feedback in [50, 100] {
            for seed in SEEDS {
                let world = World::run(wide(seed, feedback, stalls), 60.0);
                let (at, least) = world.target_min(5.0, 60.0);
                if least < TILES {
                    short_of_it.push((name, feedback, seed, at, least));
                }
            }
        }
    }
    assert!(short_of_it.is_empty(), "{} of 120: {short_of_it:?}", short_of_it.len());
}
