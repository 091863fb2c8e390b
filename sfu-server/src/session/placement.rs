//! Which worker a participant goes to: the least loaded of those its room is on, or another one if
//! those are busy and that one is clearly less so. A worker's load is what it measured over the last
//! second, and what those who joined since are expected to cost.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::PlacementPolicy;
use crate::media::WorkerId;

/// What one subscription is expected to cost, as a share of a core: 100 packets a second at 3 µs.
const SUBSCRIPTION_COST: f32 = 0.0003;
/// What one participant costs whatever it does: its handshake, checks, reports.
const PARTICIPANT_COST: f32 = 0.001;
/// How long a newcomer is in no measurement: it connects first, and the measurement looks back.
const UNMEASURED: Duration = Duration::from_secs(2);
/// Newcomers remembered for each worker; more are as good as none, the worker is full by then.
const NEWCOMERS_MAX: usize = 4096;
/// Load above which a room goes on elsewhere as well.
const BUSY: f32 = 0.5;
/// By how much another worker's load must be lower for that: each packet then crosses once.
const CLEARLY: f32 = 0.2;

/// A part of a room, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartLoad {
    pub(super) worker: WorkerId,
    /// Subscriptions that the participants there have, or may have once everybody publishes.
    pub(super) subscriptions: usize,
}

/// A participant, or a room without any, that needs a worker.
#[derive(Clone, Debug, Default)]
pub(super) struct Newcomer {
    /// Where its room is; none if it is new.
    pub(super) parts: Vec<PartLoad>,
    /// Subscriptions that it will add.
    pub(super) subscriptions: usize,
}

/// Who went where of late.
#[derive(Debug)]
pub(super) struct Placement {
    policy: PlacementPolicy,
    newcomers: Vec<VecDeque<(Instant, f32)>>,
}

impl Placement {
    pub(super) fn new(policy: PlacementPolicy, workers: usize) -> Self {
        Self { policy, newcomers: vec![VecDeque::new(); workers] }
    }

    /// The worker for a newcomer. `measured`: each worker's load; `before`: how many participants of
    /// its room were given one before.
    pub(super) fn place(
        &mut self,
        now: Instant,
        measured: &[f32],
        newcomer: &Newcomer,
        before: usize,
    ) -> WorkerId {
        let Newcomer { parts, subscriptions } = newcomer;
        let worker = match self.policy {
            PlacementPolicy::Balance => choose(&self.expected(now, measured), parts),
            PlacementPolicy::Spread => worker_id(before % self.newcomers.len()),
        };
        let newcomers = &mut self.newcomers[usize::from(worker.0)];
        if newcomers.len() < NEWCOMERS_MAX {
            let cost = PARTICIPANT_COST + *subscriptions as f32 * SUBSCRIPTION_COST;
            newcomers.push_back((now, cost));
        }
        worker
    }

    /// Each worker's load with those who are not in the measurement.
    fn expected(&mut self, now: Instant, measured: &[f32]) -> Vec<f32> {
        let expect = |(newcomers, load): (&mut VecDeque<(Instant, f32)>, &f32)| {
            while newcomers.front().is_some_and(|(at, _)| now >= *at + UNMEASURED) {
                newcomers.pop_front();
            }
            load + newcomers.iter().map(|(_, cost)| cost).sum::<f32>()
        };
        self.newcomers.iter_mut().zip(measured).map(expect).collect()
    }
}

/// The worker for one more participant of a room that is on `parts`.
fn choose(loads: &[f32], parts: &[PartLoad]) -> WorkerId {
    let load = |worker: WorkerId| loads.get(usize::from(worker.0)).copied().unwrap_or(f32::MAX);
    let anywhere = (0..loads.len()).map(worker_id).min_by(|a, b| load(*a).total_cmp(&load(*b)));
    let anywhere = anywhere.unwrap_or(WorkerId(0));
    // What the part will cost once everybody is heard and seen counts as well: a room cannot move
    // on later.
    let expected =
        |part: &PartLoad| load(part.worker).max(part.subscriptions as f32 * SUBSCRIPTION_COST);
    let of_room = parts.iter().min_by(|a, b| expected(a).total_cmp(&expected(b)));
    let Some(best) = of_room else { return anywhere };
    let is_busy = expected(best) > BUSY;
    let is_elsewhere = parts.iter().all(|part| part.worker != anywhere);
    if is_busy && is_elsewhere && load(anywhere) + CLEARLY < expected(best) {
        return anywhere;
    }
    best.worker
}

fn worker_id(index: usize) -> WorkerId {
    WorkerId(u8::try_from(index).expect("at most WORKERS_MAX are started"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(worker: u8, subscriptions: usize) -> PartLoad {
        PartLoad { worker: WorkerId(worker), subscriptions }
    }

    #[test]
    fn a_room_stays_together_until_its_workers_are_busy_and_others_are_not() {
        for (what, loads, parts, want) in [
            ("a new room, the least loaded", vec![0.3, 0.1, 0.2], vec![], 1),
            ("a new room, nothing measured", vec![0.0, 0.0], vec![], 0),
            ("a small room stays", vec![0.4, 0.0], vec![part(0, 10)], 0),
            ("busy, another one is free", vec![0.6, 0.1], vec![part(0, 10)], 1),
            ("busy, but so are others", vec![0.6, 0.45], vec![part(0, 10)], 0),
            ("it will be busy", vec![0.1, 0.0], vec![part(0, 2000)], 1),
            ("the better of two parts", vec![0.4, 0.2, 0.0], vec![part(0, 9), part(1, 9)], 1),
            ("the one that expects less", vec![0.1, 0.2], vec![part(0, 2000), part(1, 9)], 1),
            ("both busy, a third free", vec![0.9, 0.8, 0.1], vec![part(0, 9), part(1, 9)], 2),
            ("everything is full", vec![1.0, 1.0], vec![part(1, 9)], 1),
        ] {
            assert_eq!(choose(&loads, &parts), WorkerId(want), "{what}");
        }
    }

    #[tokio::test]
    async fn a_storm_of_joins_does_not_wait_for_measurements() {
        let start = Instant::now();
        let mut placement = Placement::new(PlacementPolicy::Balance, 2);
        let new_room = Newcomer::default();
        let mut of = [0; 2];
        for _ in 0..100 {
            of[usize::from(placement.place(start, &[0.0, 0.0], &new_room, 0).0)] += 1;
        }
        assert_eq!(of, [50, 50], "a hundred rooms");
        let later = start + UNMEASURED;
        assert_eq!(placement.place(later, &[0.1, 0.0], &new_room, 0), WorkerId(1));
        assert_eq!(placement.place(later, &[0.0, 0.1], &new_room, 0), WorkerId(0), "measured");
    }

    #[tokio::test]
    async fn a_storm_of_viewers_takes_a_room_to_other_workers() {
        let now = Instant::now();
        let mut placement = Placement::new(PlacementPolicy::Balance, 2);
        let mut parts: Vec<PartLoad> = Vec::new();
        for _ in 0..1200 {
            let newcomer = Newcomer { parts: parts.clone(), subscriptions: 2 };
            let worker = placement.place(now, &[0.0, 0.0], &newcomer, 0);
            match parts.iter_mut().find(|part| part.worker == worker) {
                Some(part) => part.subscriptions += 2,
                None => parts.push(PartLoad { worker, subscriptions: 2 }),
            }
        }
        assert_eq!(parts.len(), 2);
        let (a, b) = (parts[0].subscriptions, parts[1].subscriptions);
        assert!(a.abs_diff(b) <= 4, "{a} and {b}");
    }

    #[tokio::test]
    async fn spread_takes_the_workers_in_turn() {
        let mut placement = Placement::new(PlacementPolicy::Spread, 3);
        let newcomer = Newcomer { parts: vec![part(0, 1)], subscriptions: 1 };
        let mut place = |before| placement.place(Instant::now(), &[0.0; 3], &newcomer, before).0;
        assert_eq!([0, 1, 2, 3, 4].map(&mut place), [0, 1, 2, 0, 1]);
    }
}
