//! The flight recorder of one peer: what happened of late, and what the allocation was given.
//!
//! Two rings, both bounded, both empty until something happens. The *records* are for people: the
//! estimate when it has moved, probes, grants when they have changed, switches, keyframe requests.
//! The *trace* is for replay: runs of the allocation with all they were given, so that [`replay`]
//! comes to the same grants, on another machine and another day, and a changed allocator
//! can be tried on what really happened.

mod trace;

use std::collections::VecDeque;
use std::time::Duration;

use crate::bandwidth::allocate::{Allocator, Budget, Demands, Grant};
use crate::decision::{Estimate, Reason, Record, What};
use crate::forward::layer::LayerId;
use crate::id::TrackId;
use crate::limits::{RECORDED_GRANTS_PER_PEER_MAX, RECORDS_PER_PEER_MAX};
use trace::Trace;

/// How far the estimate must have moved to be recorded, in per cent.
const MOVED_PERCENT: u64 = 5;
/// How often a change of what limits the estimate is recorded, if it has not moved.
const LIMIT_INTERVAL: Duration = Duration::from_secs(1);
/// How often a run of the allocation that changes nothing is traced.
const TRACE_INTERVAL: Duration = Duration::from_secs(2);

/// The flight recorder of one peer.
#[derive(Debug, Default)]
pub struct Recorder {
    records: VecDeque<Record>,
    /// Grants in all records.
    grants: usize,
    estimate: Option<(Duration, Estimate)>,
    granted: Vec<Granted>,
    /// The last run in the trace.
    traced: Option<Duration>,
    trace: Trace,
}

/// One grant as it is recorded.
pub type Granted = (TrackId, Option<LayerId>, Reason);

/// One run of the allocation: what it was given, and what it gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What there was to share out, and when.
    pub budget: Budget,
    /// Among whom.
    pub demands: Demands,
    /// What each got.
    pub granted: Vec<Granted>,
}

impl Recorder {
    /// Notes the estimate; it is recorded if it has moved.
    pub fn note_estimate(&mut self, at: Duration, estimate: &Estimate) {
        if let Some((since, last)) = &self.estimate {
            let moved = last.target_bps.abs_diff(estimate.target_bps);
            let still = moved.saturating_mul(100) <= last.target_bps.saturating_mul(MOVED_PERCENT);
            let same = last.limited_by == estimate.limited_by
                || at.saturating_sub(*since) < LIMIT_INTERVAL;
            if still && same {
                return;
            }
        }
        self.estimate = Some((at, *estimate));
        self.note(at, What::Estimate(*estimate));
    }

    /// Notes a run of the allocation, if its grants have changed; its input also if none was kept
    /// for a while.
    pub fn note_run(&mut self, budget: &Budget, demands: &Demands, grants: &[Grant]) {
        let granted = || grants.iter().map(|grant| (grant.track, grant.layer, grant.reason));
        let same = granted().eq(self.granted.iter().copied());
        if same && self.traced.is_some_and(|at| budget.now.saturating_sub(at) < TRACE_INTERVAL) {
            return;
        }
        self.traced = Some(budget.now);
        self.trace.push(budget, demands, granted());
        if same {
            return;
        }
        self.granted.clear();
        self.granted.extend(granted());
        let what =
            What::Allocated { budget_bps: budget.estimate_bps, grants: self.granted.clone() };
        self.note(budget.now, what);
    }

    /// Notes anything else.
    pub fn note(&mut self, at: Duration, what: What) {
        self.grants += grants_of(&what);
        self.records.push_back(Record { at, what });
        while self.records.len() > RECORDS_PER_PEER_MAX
            || (self.grants > RECORDED_GRANTS_PER_PEER_MAX && self.records.len() > 1)
        {
            let oldest = self.records.pop_front();
            self.grants -= oldest.map_or(0, |record| grants_of(&record.what));
        }
    }

    /// What happened of late, oldest first.
    pub fn records(&self) -> impl ExactSizeIterator<Item = &Record> {
        self.records.iter()
    }

    /// The runs of the allocation of late, oldest first.
    #[must_use]
    pub fn trace(&self) -> Vec<Run> {
        self.trace.runs().collect()
    }
}

fn grants_of(what: &What) -> usize {
    match what {
        What::Allocated { grants, .. } => grants.len(),
        What::Estimate(_)
        | What::Probe { .. }
        | What::Probed { .. }
        | What::Switched { .. }
        | What::KeyframeRequested { .. } => 0,
    }
}

/// Runs the allocation again on recorded inputs. Gives for each run what it comes to now; with the
/// same allocator that is [`Run::granted`], bit for bit.
#[must_use]
pub fn replay(runs: &[Run]) -> Vec<Vec<Granted>> {
    let mut allocator = Allocator::default();
    let mut grants = Vec::new();
    let again = runs.iter().map(|run| {
        allocator.allocate(&run.budget, &run.demands, &mut grants);
        grants.iter().map(|grant| (grant.track, grant.layer, grant.reason)).collect()
    });
    again.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bandwidth::allocate::Demand;
    use crate::decision::{LayerOption, LimitedBy};
    use crate::limits::TRACE_BYTES_PER_PEER_MAX;
    use crate::preference::{Preference, Quality};
    use proptest::prelude::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn estimates(recorder: &Recorder) -> Vec<u64> {
        let of = |record: &Record| match record.what {
            What::Estimate(estimate) => Some(estimate.target_bps),
            _ => None,
        };
        recorder.records.iter().filter_map(of).collect()
    }

    #[test]
    fn an_estimate_is_recorded_when_it_moves() {
        let mut recorder = Recorder::default();
        for (at, kbps) in [1_000, 1_050, 950, 1_051, 1_051, 990, 0, 0, 1].into_iter().enumerate() {
            let estimate = Estimate { target_bps: kbps * 1_000, ..Estimate::default() };
            recorder.note_estimate(secs(at as u64), &estimate);
        }
        assert_eq!(estimates(&recorder), [1_000_000, 1_051_000, 990_000, 0, 1_000]);
        let limited =
            Estimate { target_bps: 1_000, limited_by: LimitedBy::Loss, ..Estimate::default() };
        recorder.note_estimate(secs(8) + Duration::from_millis(500), &limited);
        assert_eq!(estimates(&recorder).len(), 5);
        recorder.note_estimate(secs(9), &limited);
        assert_eq!(estimates(&recorder).len(), 6);
    }

    #[test]
    fn the_rings_are_bounded() {
        let mut recorder = Recorder::default();
        for bps in 0..10_000 {
            recorder.note(secs(bps), What::Probed { bitrate_bps: bps });
        }
        assert_eq!(recorder.records().len(), RECORDS_PER_PEER_MAX);
        assert_eq!(recorder.records().last().map(|record| record.at), Some(secs(9_999)));
        let track = TrackId::from_wire(1 << 32 | 1);
        for n in 0..100 {
            let grants = vec![(track, None, Reason::Best); RECORDED_GRANTS_PER_PEER_MAX / 4];
            recorder.note(secs(n), What::Allocated { budget_bps: n, grants });
            assert!(recorder.grants <= RECORDED_GRANTS_PER_PEER_MAX);
        }
        let grants = vec![(track, None, Reason::Best); RECORDED_GRANTS_PER_PEER_MAX * 2];
        recorder.note(secs(1), What::Allocated { budget_bps: 1, grants });
        assert_eq!(recorder.records().len(), 1, "the last is kept in any case");

        let mut demands = Demands::default();
        demands.push(Demand::new(track), []);
        for second in 0..10_000 {
            let budget = Budget { now: secs(second * 2), ..Budget::default() };
            recorder.note_run(&budget, &demands, &[]);
            assert!(recorder.trace.bytes() <= TRACE_BYTES_PER_PEER_MAX);
        }
        let trace = recorder.trace();
        assert!(trace.len() > 100, "{}", trace.len());
        assert_eq!(trace.last().map(|run| run.budget.now), Some(secs(2 * 9_999)));
    }

    #[test]
    fn grants_are_recorded_when_they_change() {
        let mut recorder = Recorder::default();
        let (mut allocator, mut grants) = (Allocator::default(), Vec::new());
        let mut demands = Demands::default();
        demands.push(Demand::new(TrackId::from_wire(1 << 32 | 1)), [option(0, 0, 100_000)]);
        for (second, bps) in [200_000, 300_000, 50_000, 50_000, 50_000].into_iter().enumerate() {
            let now = secs(second as u64);
            let budget = Budget { estimate_bps: bps, now, ..Budget::default() };
            allocator.allocate(&budget, &demands, &mut grants);
            recorder.note_run(&budget, &demands, &grants);
        }
        let at: Vec<_> = recorder.records().map(|record| record.at).collect();
        assert_eq!(at, [secs(0), secs(2)]);
        let at: Vec<_> = recorder.trace().iter().map(|run| run.budget.now).collect();
        assert_eq!(at, [secs(0), secs(2), secs(4)]);
    }

    fn option(encoding: u8, temporal: u8, bitrate_bps: u64) -> LayerOption {
        let layer = LayerId { encoding, spatial: 0, temporal };
        LayerOption { layer, bitrate_bps, width: 320, height: 180, frames_per_second: 30 }
    }

    prop_compose! {
        fn options()(
            all in proptest::collection::vec(
                (0..=255u8, 0..=7u8, 0..=7u8, 0..3_000_000u64, any::<u16>(), any::<u16>(), 0..=60u8),
                0..10,
            ),
        ) -> Vec<LayerOption> {
            let option = |(encoding, spatial, temporal, bitrate_bps, width, height, fps)| {
                let layer = LayerId { encoding, spatial, temporal };
                LayerOption { layer, bitrate_bps, width, height, frames_per_second: fps }
            };
            all.into_iter().map(option).collect()
        }
    }

    prop_compose! {
        fn preference()(
            quality in prop::sample::select(vec![
                Quality::Off, Quality::Low, Quality::Medium, Quality::High, Quality::Auto,
            ]),
            max_size in any::<Option<(u16, u16)>>(),
            max_frames_per_second in any::<Option<u8>>(),
            priority in any::<u8>(),
            pinned in any::<bool>(),
            visible in prop::bool::weighted(0.8),
        ) -> Preference {
            Preference { quality, max_size, max_frames_per_second, priority, pinned, visible }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        /// A subscriber's life in a few runs, through the recorder and back.
        #[test]
        fn a_trace_replays_to_the_same_grants(
            tracks in proptest::collection::vec(
                (any::<u64>(), preference(), any::<bool>(), options(), 0..8u8), 1..8,
            ),
            runs in proptest::collection::vec(
                (0..6_000_000u64, 0..400_000u64, any::<Option<u32>>(), 2_010..9_000u64, any::<bool>()),
                1..12,
            ),
        ) {
            let mut recorder = Recorder::default();
            let (mut allocator, mut grants) = (Allocator::default(), Vec::<Grant>::new());
            let mut now = Duration::from_micros(1_234_567);
            let mut inputs = Vec::new();
            for (estimate_bps, reserve_bps, probed, millis, hurry) in runs {
                now += Duration::from_micros(millis * 997);
                let probed_bps = probed.map(u64::from);
                let strained = estimate_bps % 2 == 1;
                let budget = Budget { estimate_bps, reserve_bps, probed_bps, strained, now };
                let mut demands = Demands::default();
                for (i, (id, preference, screen, options, withheld)) in tracks.iter().enumerate() {
                    let mut demand = Demand::new(TrackId::from_wire(*id));
                    (demand.preference, demand.screen) = (*preference, *screen);
                    demand.withheld = [Reason::Muted, Reason::LastN].get(*withheld as usize).copied();
                    if let Some(last) = grants.get(i) {
                        (demand.granted, demand.memory) = (last.layer, last.memory);
                    }
                    if hurry {
                        demand.memory.hurry();
                    }
                    demands.push(demand, options.iter().copied());
                }
                allocator.allocate(&budget, &demands, &mut grants);
                recorder.note_run(&budget, &demands, &grants);
                inputs.push((budget, demands));
            }
            let trace = recorder.trace();
            prop_assert_eq!(trace.len(), inputs.len());
            for (run, (budget, demands)) in trace.iter().zip(&inputs) {
                prop_assert_eq!(run.budget.now.as_millis(), budget.now.as_millis());
                prop_assert_eq!(Budget { now: run.budget.now, ..*budget }, run.budget);
                prop_assert_eq!(&run.demands, demands);
            }
            let granted: Vec<_> = trace.iter().map(|run| run.granted.clone()).collect();
            prop_assert_eq!(replay(&trace), granted);
        }
    }
}
