//! What the tests of the allocation share: subscribers, tracks with realistic rates, runs.

mod hold;
mod properties;
mod rules;

use super::*;
use crate::publish::test_clock::ms;

/// 1 kbit/s.
const KBPS: u64 = 1_000;

fn track(n: u64) -> TrackId {
    TrackId::from_wire(n | 1 << 32)
}

fn layer(encoding: u8, spatial: u8, temporal: u8) -> LayerId {
    LayerId { encoding, spatial, temporal }
}

fn option(layer: LayerId, kbps: u64, size: (u16, u16), fps: u8) -> LayerOption {
    let (width, height) = size;
    LayerOption { layer, bitrate_bps: kbps * KBPS, width, height, frames_per_second: fps }
}

/// Three encodings of Chromium's 720p VP8 simulcast at its usual maxima, three temporal layers each
/// with 40, 60 and 100 % of the rate.
fn simulcast() -> Vec<LayerOption> {
    let encodings = [(150, (320, 180)), (500, (640, 360)), (1_700, (1280, 720))];
    let temporal = [(40, 7), (60, 15), (100, 30)];
    (0u8..)
        .zip(encodings)
        .flat_map(|(e, (kbps, size))| {
            (0u8..)
                .zip(temporal)
                .map(move |(t, (share, fps))| option(layer(e, 0, t), kbps * share / 100, size, fps))
        })
        .collect()
}

/// One encoding of one layer.
fn single(kbps: u64) -> Vec<LayerOption> {
    vec![option(layer(0, 0, 0), kbps, (1280, 720), 30)]
}

/// A subscriber that remembers, as the engine does, what it was granted.
#[derive(Default)]
struct Subscriber {
    wants: Vec<(Demand, Vec<LayerOption>)>,
    budget: Budget,
    allocator: Allocator,
    demands: Demands,
    grants: Vec<Grant>,
    totals: Totals,
    /// Grants that differed from the one before.
    changes: usize,
}

impl Subscriber {
    fn with(wants: impl IntoIterator<Item = (Demand, Vec<LayerOption>)>) -> Self {
        Self { wants: wants.into_iter().collect(), ..Self::default() }
    }

    /// `n` cameras in simulcast.
    fn cameras(n: u64) -> Self {
        Self::with((0..n).map(|n| (Demand::new(track(n)), simulcast())))
    }

    fn prefer(&mut self, at: usize, change: impl Fn(&mut Preference)) {
        change(&mut self.wants[at].0.preference);
        self.wants[at].0.memory.hurry();
    }

    /// One run with this estimate; grants come into force.
    fn run(&mut self, kbps: u64) -> &[Grant] {
        self.budget.estimate_bps = kbps * KBPS;
        self.demands.clear();
        for (demand, options) in &self.wants {
            self.demands.push(demand.clone(), options.iter().copied());
        }
        self.totals = self.allocator.allocate(&self.budget, &self.demands, &mut self.grants);
        for ((demand, _), grant) in self.wants.iter_mut().zip(&self.grants) {
            self.changes += usize::from(demand.granted != grant.layer);
            demand.granted = grant.layer;
            demand.memory = grant.memory;
        }
        &self.grants
    }

    /// Runs every 100 ms for so long.
    fn run_for(&mut self, millis: u64, kbps: u64) -> &[Grant] {
        for _ in 0..millis / 100 {
            self.budget.now += ms(100);
            self.run(kbps);
        }
        &self.grants
    }

    fn layers(&self) -> Vec<Option<LayerId>> {
        self.grants.iter().map(|grant| grant.layer).collect()
    }

    fn cost(&self, at: usize) -> u64 {
        let layer = self.grants[at].layer;
        let (_, options) = &self.wants[at];
        options.iter().find(|o| Some(o.layer) == layer).map_or(0, |o| o.bitrate_bps)
    }

    /// What the grants cost in all, bit/s.
    fn spent(&self) -> u64 {
        (0..self.grants.len()).map(|at| self.cost(at)).sum()
    }
}
