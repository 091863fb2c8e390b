//! The figures that the estimator is held to.

use std::time::Duration;

use super::world::{Format, Setup, World};
use crate::decision::LimitedBy;

/// From five seconds after each step of RFC 8867 5.1 to the next.
const PHASES: [(f64, f64); 4] = [(5.0, 40.0), (45.0, 60.0), (65.0, 80.0), (85.0, 100.0)];
const SEEDS: std::ops::Range<u64> = 1..6;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn rfc8867_5_1() -> Setup {
    Setup {
        capacity: vec![(0.0, 1_000_000), (40.0, 2_500_000), (60.0, 600_000), (80.0, 1_000_000)],
        ..Setup::default()
    }
}

/// Goodput of at least `goodput` in every phase with short queues and little loss.
fn assert_phases(world: &World, goodput: f64, name: &str) {
    for (from, to) in PHASES {
        let (seen, queue) = (world.goodput(from, to), world.queue_p95_ms(from, to));
        let dropped = world.dropped(from, to);
        let seen_as = format!("{name}, {from} to {to} s: {seen:.3}, {queue} ms, {dropped:.4}");
        let holds = seen >= goodput && queue <= 100 && dropped <= 0.01;
        assert!(holds, "{seen_as}\n{}", world.trace(from, to, 200));
    }
}

#[test]
fn rfc8867_5_1_is_used_to_nine_tenths_with_short_queues() {
    for feedback in [50, 100, 200] {
        for frames in [false, true] {
            let setup = Setup { feedback: ms(feedback), frames, ..rfc8867_5_1() };
            let world = World::run(setup, 100.0);
            assert_phases(&world, 0.9, &format!("feedback {feedback} ms, frames {frames}"));
            let up = world.reaches(40.0, 2_000_000);
            assert!(up <= 5.0, "up after {up} s");
        }
    }
}

#[test]
fn a_longer_path_is_used_as_well() {
    let world = World::run(Setup { one_way: ms(100), ..rfc8867_5_1() }, 100.0);
    assert_phases(&world, 0.9, "200 ms");
}

#[test]
fn start_up_takes_less_than_a_second_and_does_not_overshoot() {
    for one_way in [10, 25, 50] {
        let setup =
            Setup { one_way: ms(one_way), capacity: vec![(0.0, 3_000_000)], ..Setup::default() };
        let world = World::run(setup, 10.0);
        let reached = world.reaches(0.0, 2_400_000);
        assert!(reached <= 1.0, "80 % after {reached} s at {one_way} ms");
        let most = world.target_max(0.0, 3.0);
        assert!(most <= 3_150_000, "{most} at {one_way} ms");
    }
}

#[test]
fn start_up_on_a_slow_path_does_not_fill_its_queue() {
    let world = World::run(Setup { capacity: vec![(0.0, 250_000)], ..Setup::default() }, 20.0);
    assert_eq!(world.dropped(0.0, 20.0), 0.0);
    assert!(world.goodput(3.0, 20.0) >= 0.8, "{}", world.goodput(3.0, 20.0));
}

#[test]
fn a_step_down_is_followed_within_a_second_and_the_queue_drains() {
    for one_way in [10, 50] {
        for frames in [false, true] {
            let setup = Setup {
                one_way: ms(one_way),
                frames,
                capacity: vec![(0.0, 2_500_000), (20.0, 600_000)],
                ..Setup::default()
            };
            let world = World::run(setup, 40.0);
            let down = world.first(20.05, |sample| sample.target <= 600_000);
            assert!(down <= 1.0, "down after {down} s");
            let full = world.first(20.1, |sample| sample.queue < ms(50));
            assert!(full <= 2.0, "queue drained after {full} s");
            let most = world.target_max(21.0, 25.0);
            assert!(most <= 660_000, "{most}");
        }
    }
}

#[test]
fn a_step_up_is_found_within_five_seconds() {
    for step in [20.0, 20.7, 21.4, 22.1, 22.8] {
        let capacity = vec![(0.0, 600_000), (step, 2_500_000)];
        let world = World::run(Setup { capacity, ..Setup::default() }, 40.0);
        let up = world.reaches(step, 2_000_000);
        assert!(up <= 5.0, "up after {up} s");
        assert!(world.dropped(step, 40.0) <= 0.01);
    }
}

#[test]
fn random_loss_is_borne() {
    for (loss, goodput) in [(0.02, 0.9), (0.05, 0.9), (0.1, 0.85), (0.2, 0.8)] {
        for seed in SEEDS {
            let capacity = vec![(0.0, 2_000_000)];
            let world = World::run(Setup { seed, loss, capacity, ..Setup::default() }, 60.0);
            let seen = world.goodput(5.0, 60.0);
            assert!(seen >= goodput, "{seen:.3} with {loss}, seed {seed}");
            assert!(world.queue_p95_ms(5.0, 60.0) <= 100);
        }
    }
}

#[test]
fn loss_without_a_queue_is_a_limit_where_it_moves_with_the_rate() {
    // A queue of 20 ms: too short for a trend.
    let capacity = vec![(0.0, 1_500_000)];
    for seed in SEEDS {
        let setup = Setup { seed, queue: ms(20), capacity: capacity.clone(), ..Setup::default() };
        let world = World::run(setup, 60.0);
        let (seen, dropped) = (world.goodput(5.0, 60.0), world.dropped(5.0, 60.0));
        assert!(seen >= 0.8 && dropped <= 0.03, "{seen:.3} {dropped:.4}");
    }
}

#[test]
fn demand_after_a_minute_of_little_is_met_within_two_seconds() {
    let setup = Setup {
        capacity: vec![(0.0, 3_000_000)],
        demand: vec![(0.0, 150_000), (60.0, 2_500_000)],
        ..Setup::default()
    };
    let world = World::run(setup, 70.0);
    let proven = 3_000_000.min(2 * world.probed.iter().copied().max().unwrap_or(300_000));
    assert!(world.target_max(0.0, 60.0) <= proven);
    let met = world.reaches(60.0, 2_000_000);
    assert!(met <= 2.0, "80 % after {met} s");
    assert!(world.dropped(60.0, 70.0) <= 0.01);
    let probes = world.probes.iter().filter(|(at, _)| (5.0..60.0).contains(at)).count();
    assert!(probes <= 11, "{probes} while nothing more was wanted");
}

#[test]
fn both_formats_of_feedback_lead_to_the_same() {
    let twcc = World::run(rfc8867_5_1(), 100.0);
    let ccfb = World::run(Setup { format: Format::Ccfb, ..rfc8867_5_1() }, 100.0);
    assert_phases(&ccfb, 0.9, "RFC 8888");
    assert_alike(&twcc, &ccfb, "TWCC and RFC 8888");
}

#[test]
fn bad_feedback_leads_to_the_same_as_good() {
    let good = World::run(rfc8867_5_1(), 100.0);
    for seed in SEEDS {
        for (name, lost, doubled, swapped) in [
            ("lost", 0.1, 0.0, 0.0),
            ("doubled", 0.0, 0.3, 0.0),
            ("swapped", 0.0, 0.0, 0.3),
            ("all of it", 0.1, 0.1, 0.1),
        ] {
            for format in [Format::Twcc, Format::Ccfb] {
                let bad = World::run(
                    Setup {
                        seed,
                        feedback_lost: lost,
                        feedback_doubled: doubled,
                        feedback_swapped: swapped,
                        format,
                        ..rfc8867_5_1()
                    },
                    100.0,
                );
                assert_alike(&good, &bad, &format!("{name}, {format:?}, seed {seed}"));
            }
        }
    }
}

#[test]
fn numbers_that_wrap_lead_to_the_same() {
    let plain = World::run(rfc8867_5_1(), 100.0);
    for format in [Format::Twcc, Format::Ccfb] {
        let wrapped = Setup { numbered: 60_000, sequence: 65_000, format, ..rfc8867_5_1() };
        let wrapped = World::run(wrapped, 100.0);
        assert_alike(&plain, &wrapped, &format!("{format:?}"));
    }
}

fn assert_alike(one: &World, other: &World, name: &str) {
    for (from, to) in PHASES {
        let (one, other) = (one.target_mean(from, to), other.target_mean(from, to));
        let ratio = other / one;
        assert!((0.95..=1.05).contains(&ratio), "{name}, {from} to {to} s: {one} and {other}");
    }
}

#[test]
fn jitter_is_not_a_queue() {
    for seed in SEEDS {
        for jitter in [5, 10, 20, 30] {
            let world = World::run(Setup { seed, jitter: ms(jitter), ..rfc8867_5_1() }, 100.0);
            for (from, to) in PHASES {
                let seen = world.goodput(from, to);
                assert!(seen >= 0.85, "{seen:.3} with {jitter} ms from {from} s, seed {seed}");
                let dropped = world.dropped(from, to);
                assert!(dropped <= 0.01, "{dropped:.4} with {jitter} ms");
            }
        }
    }
}

#[test]
fn an_outage_is_overcome() {
    for length in [1.0, 3.0, 10.0] {
        for only_feedback in [false, true] {
            let span = Some((20.0, 20.0 + length));
            let setup = match only_feedback {
                false => Setup { outage: span, ..Setup::default() },
                true => Setup { feedback_outage: span, ..Setup::default() },
            };
            let mut world = World::new(setup);
            world.go_on(20.9);
            assert_eq!(world.sender.estimate().limited_by, LimitedBy::Outage);
            world.go_on(length + 19.1);
            let back = world.reaches(20.0 + length, 800_000);
            assert!(back <= 2.0, "back after {back} s, {length} s, only feedback {only_feedback}");
            assert!(world.goodput(25.0 + length, 40.0 + length) >= 0.9);
        }
    }
}

#[test]
fn a_run_is_the_same_every_time() {
    let run = || World::run(Setup { loss: 0.05, jitter: ms(5), ..rfc8867_5_1() }, 50.0);
    let (one, other) = (run(), run());
    let targets = |world: &World| world.samples.iter().map(|s| s.target).collect::<Vec<_>>();
    assert_eq!(targets(&one), targets(&other));
    assert_eq!(one.probes.len(), other.probes.len());
}
