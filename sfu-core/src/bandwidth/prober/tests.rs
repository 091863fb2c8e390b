use super::*;
use crate::bandwidth::tests::origin;

const JITTER: Duration = Duration::ZERO;

/// A prober with its clock.
struct Run {
    prober: Prober,
    now: Instant,
}

impl Run {
    fn new() -> Self {
        Self { prober: Prober::new(300_000, 20_000_000), now: origin() }
    }

    /// With the first probes behind it, and the estimate at a million.
    fn started(wanted: u64) -> Self {
        let mut run = Self::new();
        run.prober.set_wanted(wanted);
        run.prober.start();
        while run.prober.poll(run.now, JITTER).is_some() {
            run.now += Duration::from_millis(50);
        }
        run.prober.planned.clear();
        run.prober.awaited = None;
        run.estimate(1_000_000, Mood::Free, false);
        run
    }

    fn estimate(&mut self, bps: u64, mood: Mood, limited: bool) {
        self.prober.on_estimate(self.now, bps, mood, limited);
    }

    /// Rates and reasons of what goes out over some time, each with its ms.
    fn probes(&mut self, ms: u64) -> Vec<(u64, u64, ProbeReason)> {
        let (start, end) = (self.now, self.now + Duration::from_millis(ms));
        let mut probes = vec![];
        while self.now < end {
            self.prober.handle_timeout(self.now);
            if let Some(probe) = self.prober.poll(self.now, JITTER) {
                let at = (self.now - start).as_millis() as u64;
                probes.push((at, probe.bitrate_bps, probe.why));
            }
            self.now += Duration::from_millis(1);
        }
        probes
    }

    fn answer(&mut self, asked: u64, shown: Option<u64>, why: ProbeReason) {
        let probe =
            Probe { id: ProbeId(0), bitrate_bps: asked, duration: DURATION, packets_min: 5, why };
        let (is_saturated, was_disturbed) = (false, false);
        let probed = Probed { probe, bitrate_bps: shown, is_saturated, was_disturbed };
        self.prober.on_probed(&probed);
    }

    fn disturb(&mut self, why: ProbeReason) {
        let probe =
            Probe { id: ProbeId(0), bitrate_bps: 1, duration: DURATION, packets_min: 5, why };
        let (bitrate_bps, is_saturated) = (None, false);
        self.prober.on_probed(&Probed { probe, bitrate_bps, is_saturated, was_disturbed: true });
    }
}

#[test]
fn starts_with_three_and_six_times_the_rate_when_there_is_something_to_send() {
    let mut run = Run::new();
    assert_eq!(run.probes(1000), []);
    assert_eq!(run.prober.next_timeout(run.now), None);
    run.prober.start();
    let start = ProbeReason::Start;
    assert_eq!(run.probes(900), [(0, 900_000, start), (20, 1_800_000, start)]);
    run.prober.start();
    assert_eq!(run.probes(100), []);
}

#[test]
fn goes_on_from_what_got_through_until_it_is_enough() {
    let mut run = Run::started(5_000_000);
    run.answer(1_800_000, Some(1_700_000), ProbeReason::Start);
    run.estimate(1_700_000, Mood::Free, false);
    assert_eq!(run.probes(100), [(0, 3_400_000, ProbeReason::Start)]);
    run.answer(3_400_000, Some(2_300_000), ProbeReason::Start);
    run.estimate(2_300_000, Mood::Free, false);
    assert_eq!(run.prober.planned.len(), 0, "less than 70 %");
    run.answer(3_400_000, Some(5_500_000), ProbeReason::Start);
    run.estimate(5_500_000, Mood::Free, false);
    assert_eq!(run.probes(100)[..1], [(0, 10_000_000, ProbeReason::Start)], "twice what is wanted");
    run.answer(10_000_000, Some(10_000_000), ProbeReason::Start);
    run.estimate(10_000_000, Mood::Free, false);
    assert_eq!(run.probes(20_000), [], "enough");
}

#[test]
fn new_demand_is_tried_for_at_once_and_within_twice_the_estimate() {
    let mut run = Run::started(500_000);
    assert_eq!(run.probes(2000), []);
    run.prober.set_wanted(1_500_000);
    let demand = ProbeReason::Demand;
    assert_eq!(run.probes(900), [(0, 1_500_000, demand), (20, 2_000_000, demand)]);
    let mut run = Run::started(500_000);
    run.prober.set_wanted(9_000_000);
    assert_eq!(run.probes(900), [(0, 2_000_000, demand)]);
    let mut run = Run::started(500_000);
    run.prober.set_wanted(900_000);
    assert_eq!(run.probes(900), [], "it fits");
}

#[test]
fn unmet_demand_is_tried_for_again_and_less_often_if_in_vain() {
    let mut run = Run::started(3_000_000);
    let mut gaps = vec![];
    for _ in 0..6 {
        let before = run.now;
        while run.probes(1).is_empty() {}
        gaps.push((run.now - before).as_millis());
        run.answer(2_000_000, Some(1_000_000), ProbeReason::Demand);
    }
    assert!(gaps.windows(2).all(|pair| pair[1] >= pair[0]), "{gaps:?}");
    assert_eq!(gaps.last(), Some(&UNMET_INTERVAL_MAX.as_millis()));
}

#[test]
fn nothing_is_tried_while_it_is_congested_and_gently_afterwards() {
    let mut run = Run::started(3_000_000);
    run.prober.plan(2e6, 2.0, ProbeReason::Demand);
    run.estimate(1_000_000, Mood::Congested, false);
    assert_eq!(run.probes(20_000), []);
    assert_eq!(run.prober.next_timeout(run.now), None);
    run.prober.set_wanted(9_000_000);
    assert_eq!(run.probes(20_000), []);
    run.estimate(1_000_000, Mood::Recovering, false);
    assert_eq!(run.probes(1)[0].1, 1_500_000);
}

#[test]
fn asks_every_five_seconds_while_little_is_sent() {
    let mut run = Run::started(800_000);
    run.estimate(1_000_000, Mood::Free, true);
    let probes = run.probes(16_000);
    assert!((3..=4).contains(&probes.len()), "{probes:?}");
    assert!(probes.iter().all(|&(_, bps, why)| (bps, why) == (1_600_000, ProbeReason::Idle)));
    run.estimate(1_600_000, Mood::Free, true);
    assert_eq!(run.probes(16_000), [], "there is room for twice of it");
}

#[test]
fn asks_after_a_drop_whether_it_was_for_good() {
    let mut run = Run::started(900_000);
    run.estimate(600_000, Mood::Congested, false);
    assert_eq!(run.probes(500), []);
    run.estimate(600_000, Mood::Free, false);
    assert_eq!(run.probes(400)[0].1, 850_000);
    run.answer(850_000, Some(600_000), ProbeReason::Recovery);
    assert!(!run.probes(4000).iter().any(|&(_, _, why)| why == ProbeReason::Recovery), "once");
}

#[test]
fn calls_it_stagnation_when_nothing_has_moved_for_long() {
    let mut run = Run::started(3_000_000);
    let whys = |probes: Vec<(u64, u64, ProbeReason)>| {
        probes.iter().map(|&(_, _, why)| why).collect::<Vec<_>>()
    };
    let early = whys(run.probes(10_000));
    assert!(!early.is_empty() && early.iter().all(|&why| why == ProbeReason::Demand));
    run.probes(6000);
    let late = whys(run.probes(6000));
    assert!(!late.is_empty() && late.iter().all(|&why| why == ProbeReason::Stagnation));
}

#[test]
fn another_path_is_tried_for_what_the_old_one_carried() {
    let mut run = Run::started(5_000_000);
    run.prober.on_route_change(1_000_000, 500_000);
    let route = ProbeReason::Route;
    assert_eq!(run.probes(900), [(0, 1_000_000, route), (20, 2_000_000, route)]);
}

#[test]
fn never_beyond_the_bound_and_longer_where_delays_differ() {
    let mut run = Run::started(100_000_000);
    run.estimate(15_000_000, Mood::Free, false);
    run.prober.set_wanted(200_000_000);
    run.prober.handle_timeout(run.now);
    let probe = run.prober.poll(run.now, Duration::from_millis(5)).unwrap();
    assert_eq!((probe.bitrate_bps, probe.duration), (20_000_000, Duration::from_millis(40)));
    run.estimate(20_000_000, Mood::Free, true);
    assert_eq!(run.probes(20_000), []);
    assert_eq!(run.prober.next_timeout(run.now), None);
}

#[test]
fn a_deadline_lies_ahead_once_it_was_served() {
    let mut run = Run::started(3_000_000);
    for _ in 0..20_000 {
        run.prober.handle_timeout(run.now);
        while run.prober.poll(run.now, JITTER).is_some() {}
        assert!(run.prober.next_timeout(run.now).is_none_or(|due| due > run.now));
        run.now += Duration::from_millis(1);
    }
}

#[test]
fn what_was_disturbed_is_soon_tried_again_but_not_for_ever() {
    let mut run = Run::started(2_000_000);
    let mut waited = vec![];
    run.probes(2000);
    for _ in 0..6 {
        run.disturb(ProbeReason::Demand);
        let issued = run.prober.issued.unwrap();
        run.now = issued + Duration::from_millis(50);
        waited.push(50 + run.probes(5000)[0].0);
        run.now = run.prober.issued.unwrap() + Duration::from_millis(50);
    }
    assert_eq!(waited, [400, 400, 400, 2250, 400, 400]);
}

#[test]
fn what_is_missed_while_nothing_else_flows_is_tried_for_more_often() {
    for (allocated, expected) in [(200_000, 2), (100_000, 9)] {
        let mut run = Run::started(3_000_000);
        run.prober.set_allocated(allocated);
        run.estimate(1_000_000, Mood::Free, true);
        let mut found = 0;
        for _ in 0..60 {
            for (_, asked, why) in run.probes(100) {
                found += 1;
                run.answer(asked, Some(1_000_000), why);
            }
        }
        assert!((expected..=expected + 1).contains(&found), "{found} beside {allocated}");
    }
}
