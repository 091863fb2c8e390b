//! Who gets which quality: feedback and preferences in, grants out.
//!
//! What was measured of tracks and paths comes together here. [`wishes`] is what subscribers and
//! rooms ask for, [`path`] what a peer's feedback comes to: its estimate, pace and probes. [`share`]
//! goes through the allocation with both, and what comes back is what selectors aim at; [`shed`]
//! cuts down what there is to share while the server is overloaded. [`told`]
//! is who hears of it: subscribers what they get, publishers what is wanted of them.

mod path;
mod share;
mod shed;
mod told;
mod wishes;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Engine;
use crate::bandwidth::allocate::{Allocator, Demands, Grant, Totals};
use crate::decision::LayerOption;
use crate::id::{SubscriptionId, TrackId};
use crate::preference::Preference;
use crate::recorder::Recorder;
use crate::stats::ESTIMATE_BOUNDS_BPS;

pub(in crate::engine) use shed::Shed;

/// What decides about a peer's quality beside the estimate.
#[derive(Debug, Default)]
pub(in crate::engine) struct Quality {
    /// What the peer said of tracks, subscribed or not. At most
    /// [`crate::limits::SUBSCRIPTIONS_PER_PEER_MAX`] entries.
    preferences: BTreeMap<TrackId, Preference>,
    /// When bandwidth is to be shared out anew.
    pub(in crate::engine) next_run: Option<Instant>,
    /// The estimate of the last run.
    estimate_bps: u64,
    /// What a probe has shown to pass since the last run.
    probed_bps: Option<u64>,
    totals: Totals,
    /// Since when no video is wanted of any track.
    unwanted_since: Option<Instant>,
    recorder: Recorder,
}

/// The buffers of a run.
#[derive(Debug, Default)]
pub(in crate::engine) struct Allocation {
    allocator: Allocator,
    demands: Demands,
    grants: Vec<Grant>,
    options: Vec<LayerOption>,
    /// The subscription behind each demand.
    subscriptions: Vec<SubscriptionId>,
}

impl Engine {
    /// How many peers are sent video, by their estimates.
    pub(in crate::engine) fn estimates(&self) -> [u64; ESTIMATE_BOUNDS_BPS.len() + 1] {
        let mut classes = [0; ESTIMATE_BOUNDS_BPS.len() + 1];
        let qualities = self.peers.values().map(|peer| &peer.receive.quality);
        for quality in qualities.filter(|quality| quality.next_run.is_some()) {
            let class = ESTIMATE_BOUNDS_BPS.partition_point(|bps| *bps < quality.estimate_bps);
            classes[class] += 1;
        }
        classes
    }
}

impl Quality {
    pub(in crate::engine) fn totals(&self) -> &Totals {
        &self.totals
    }

    pub(in crate::engine) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    pub(in crate::engine) fn recorder_mut(&mut self) -> &mut Recorder {
        &mut self.recorder
    }
}

impl Engine {
    /// How long the engine has existed: times as decisions tell and remember them.
    pub(in crate::engine) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.start)
    }
}
