//! What holds for any demands and any budget.

use proptest::prelude::*;

use super::*;

/// A track somebody might publish: up to 3 encodings × 3 temporal layers with noisy rates, sizes
/// known or not.
fn published() -> impl Strategy<Value = Vec<LayerOption>> {
    let shape = (1..=3u8, 1..=3u8, 30..200u64, any::<bool>(), any::<bool>());
    (shape, proptest::collection::vec(70..130u64, 9)).prop_map(
        |((encodings, temporal, base, sized, svc), noise)| {
            let mut options = Vec::new();
            for e in 0..encodings {
                for t in 0..temporal {
                    let kbps = base * [1, 3, 10][usize::from(e)];
                    let share = [40, 60, 100][usize::from(3 - temporal + t)];
                    let noisy = kbps * share / 100 * noise[usize::from(e * 3 + t)] / 100;
                    let size = if sized { (320 << e, 180 << e) } else { (0, 0) };
                    let id = if svc { layer(0, e, t) } else { layer(e, 0, t) };
                    options.push(option(id, noisy, size, [7, 15, 30][usize::from(t)]));
                }
            }
            options
        },
    )
}

prop_compose! {
    fn wish()(
        priority in prop_oneof![Just(100u8), any::<u8>()],
        screen in prop::bool::weighted(0.2),
        visible in prop::bool::weighted(0.9),
        width in prop::option::of(50..2_000u16),
        fps in prop::option::of(5..40u8),
    ) -> (Preference, bool) {
        let max_size = width.map(|w| (w, w / 16 * 9));
        let base = Preference::default();
        (Preference { priority, visible, max_size, max_frames_per_second: fps, ..base }, screen)
    }
}

fn wants() -> impl Strategy<Value = Vec<(Demand, Vec<LayerOption>)>> {
    let one = (wish(), published());
    (proptest::collection::vec(one, 1..12), any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(list, which, pin)| {
            let pinned = which.index(list.len());
            (0u64..)
                .zip(list)
                .map(|(n, ((preference, screen), options))| {
                    let mut demand = Demand { preference, screen, ..Demand::new(track(n)) };
                    demand.preference.pinned = pin && n == pinned as u64;
                    (demand, options)
                })
                .collect()
        },
    )
}

/// Place of a grant on its ladder, and the ladder's costs.
fn rung(subscriber: &Subscriber, at: usize) -> (usize, Vec<u64>) {
    let (demand, options) = &subscriber.wants[at];
    let mut steps = Vec::new();
    let ladder = Ladder::build(demand, options, &mut steps);
    let layer = subscriber.grants[at].layer;
    let level = layer.map_or(0, |l| 1 + steps.iter().position(|s| s.layer == l).unwrap());
    assert_eq!(ladder.len(), steps.len());
    (level, steps.iter().map(|step| step.cost).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_ladder_gets_better_and_dearer(options in published(), (preference, screen) in wish()) {
        let demand = Demand { preference, screen, ..Demand::new(track(1)) };
        let mut steps = Vec::new();
        Ladder::build(&demand, &options, &mut steps);
        prop_assert_eq!(steps.is_empty(), !preference.visible);
        prop_assert!(steps.windows(2).all(|w| w[0].cost < w[1].cost), "{:?}", steps);
    }

    #[test]
    fn the_budget_is_kept_whatever_came_before(
        wants in wants(),
        reserve in 0..400u64,
        estimates in proptest::collection::vec(
            (0..8_000u64, 1..40u64, any::<bool>(), any::<bool>()), 1..12,
        ),
    ) {
        let mut subscriber = Subscriber::with(wants);
        subscriber.budget.reserve_bps = reserve * KBPS;
        for (kbps, tenths, probed, strained) in estimates {
            subscriber.budget.probed_bps = probed.then_some(kbps * KBPS);
            subscriber.budget.strained = strained;
            subscriber.run_for(tenths * 100, kbps);
            let (spent, all) = (subscriber.spent(), kbps.saturating_sub(reserve) * KBPS);
            let lowest = (0..subscriber.grants.len()).all(|at| {
                subscriber.wants[at].0.preference.pinned || rung(&subscriber, at).0 <= 1
            });
            // A slight excess may pass, and before a pause any; for a second.
            let is_patient = tenths <= 11;
            let limit = if is_patient { all * 11 / 10 } else { all };
            let served = subscriber.layers().iter().filter(|layer| layer.is_some()).count();
            let is_last = served == 1 && spent <= kbps * KBPS * 3 / 2;
            let is_borne = lowest && !strained && (is_patient || is_last);
            prop_assert!(spent <= limit || is_borne, "{spent} of {all}");
            prop_assert_eq!(subscriber.totals.allocated_bps, spent + reserve * KBPS);
            prop_assert!(subscriber.totals.wanted_bps >= subscriber.totals.allocated_bps);
        }
    }

    #[test]
    fn nobody_is_starved_for_somebody_less_important(wants in wants(), kbps in 0..8_000u64) {
        let mut subscriber = Subscriber::with(wants);
        subscriber.run(kbps);
        let rank = |at: usize| {
            let preference = subscriber.wants[at].0.preference;
            (preference.pinned, preference.priority)
        };
        for at in 0..subscriber.grants.len() {
            let (level, costs) = rung(&subscriber, at);
            let Some(lowest) = costs.first().filter(|_| level == 0) else { continue };
            // What the more important ones have at the least, or a pinned one has before all others.
            // Those less important do not count: its lowest step would not fit even without them.
            let before = |other: usize| {
                (std::cmp::Reverse(rank(other)), other) < (std::cmp::Reverse(rank(at)), at)
            };
            let theirs: u64 = (0..subscriber.grants.len())
                .filter(|&other| before(other) && subscriber.grants[other].layer.is_some())
                .map(|other| {
                    let (level, costs) = rung(&subscriber, other);
                    costs[if rank(other).0 { level - 1 } else { 0 }]
                })
                .sum();
            prop_assert!(theirs + lowest > kbps * KBPS, "{at} is paused: {:?}", subscriber.grants);
        }
    }

    #[test]
    fn more_budget_never_gives_a_pinned_tile_less(
        mut wants in wants(),
        kbps in 0..8_000u64,
        more in 0..3_000u64,
    ) {
        wants[0].0.preference = Preference { pinned: true, ..Preference::default() };
        for (demand, _) in &mut wants[1..] {
            demand.preference.pinned = false;
        }
        let mut little = Subscriber::with(wants.clone());
        little.run(kbps);
        let mut much = Subscriber::with(wants);
        much.run(kbps + more);
        // Except where the others' lowest steps take it: one that was paused comes back.
        let served = |s: &Subscriber| s.layers().iter().filter(|l| l.is_some()).count();
        prop_assume!(served(&little) == served(&much));
        prop_assert!(rung(&much, 0).0 >= rung(&little, 0).0);
    }

    #[test]
    fn a_pinned_tile_gets_the_largest_layer_that_fits(mut wants in wants(), kbps in 0..8_000u64) {
        wants[0].0.preference = Preference { pinned: true, ..Preference::default() };
        for (demand, _) in &mut wants[1..] {
            demand.preference.pinned = false;
        }
        let mut subscriber = Subscriber::with(wants);
        subscriber.budget.probed_bps = Some(u64::MAX);
        subscriber.run(kbps);
        let (level, costs) = rung(&subscriber, 0);
        let others: u64 = (1..subscriber.grants.len())
            .filter(|&at| subscriber.grants[at].layer.is_some())
            .map(|at| rung(&subscriber, at).1[0])
            .sum();
        if let Some(next) = costs.get(level) {
            prop_assert!(others + next > kbps * KBPS);
        }
    }

    #[test]
    fn the_same_input_gives_the_same_grants(wants in wants(), kbps in 0..8_000u64) {
        let mut one = Subscriber::with(wants.clone());
        let mut other = Subscriber::with(wants);
        // Buffers that were used for something else before make no difference.
        other.allocator = {
            let mut used = Subscriber::cameras(20);
            used.run(5_000);
            used.allocator
        };
        prop_assert_eq!(one.run(kbps), other.run(kbps));
        prop_assert_eq!(one.totals, other.totals);
    }

    #[test]
    fn noise_of_a_tenth_does_not_flap(
        mean in 60..8_000u64,
        tiles in 1..10u64,
        pinned in any::<bool>(),
        noise in proptest::collection::vec(-100..=100i64, 600),
    ) {
        let mut subscriber = Subscriber::cameras(tiles);
        subscriber.wants[0].0.preference.pinned = pinned;
        subscriber.run_for(100, mean);
        let mut late = 0;
        for (i, estimate) in noise.iter().enumerate() {
            let before = subscriber.changes;
            // Half-second steps: five minutes in all.
            subscriber.budget.now += ms(400);
            let kbps = mean.saturating_add_signed(mean as i64 * estimate / 1_000);
            subscriber.run_for(100, kbps);
            if i >= 120 {
                late += subscriber.changes - before;
            }
        }
        // A tile changes once in two minutes at most.
        prop_assert!(late <= 4 + 2 * tiles as usize, "{late} changes in the last four minutes");
    }

    #[test]
    fn noise_of_a_tenth_in_the_rates_does_not_flap(
        mean in 60..8_000u64,
        tiles in 1..10u64,
        noise in proptest::collection::vec(proptest::collection::vec(-100..=100i64, 10), 300),
    ) {
        let mut subscriber = Subscriber::cameras(tiles);
        let mut late = 0;
        for (i, noise) in noise.iter().enumerate() {
            let before = subscriber.changes;
            for ((_, options), noise) in subscriber.wants.iter_mut().zip(noise) {
                *options = simulcast();
                for option in options {
                    let rate = option.bitrate_bps;
                    option.bitrate_bps = rate.saturating_add_signed(rate as i64 * noise / 1_000);
                }
            }
            subscriber.run_for(1_000, mean);
            if i >= 60 {
                late += subscriber.changes - before;
            }
        }
        prop_assert!(late <= 4 * tiles as usize, "{late} changes in four minutes");
    }
}
