//! Sharing out: what a peer's tracks cost and its path carries go through the allocation, and the
//! grants become what selectors aim at.

use std::time::{Duration, Instant};

use super::Allocation;
use crate::bandwidth::allocate::{Budget, Demand, Grant};
use crate::command::Source;
use crate::decision::{KeyframeReason, LimitedBy, Reason};
use crate::engine::Engine;
use crate::forward::layer::LayerId;
use crate::id::{PeerId, SubscriptionId, TrackId};
use crate::negotiation::MediaKind;
use crate::preference::Quality as Words;

/// Bandwidth is shared out at least this often: measured rates move.
const RUN_INTERVAL: Duration = Duration::from_millis(500);
/// The same while tracks and estimate are new: what is measured changes fast.
const RUN_INTERVAL_AT_START: Duration = Duration::from_millis(100);
/// A subscription younger than this goes up as soon as there is room: nobody likes to wait for a
/// picture to become sharp.
const SETTLED_AFTER: Duration = Duration::from_secs(4);
/// More of the estimate is never set aside for retransmissions, in per cent.
const RTX_RESERVE_MAX_PERCENT: u64 = 40;
/// Up to this much is sent to show everybody's lowest layer before anything is known of the path;
/// more only for a single one, whose first keyframe makes it look larger than it is.
const START_BPS_MAX: u64 = 1_500_000;

/// An estimate that no video has been sent by for so long is a guess, as at the start.
const STALE_AFTER: Duration = Duration::from_secs(10);

impl Engine {
    /// Shares out a peer's bandwidth among its video subscriptions.
    pub(super) fn allocate(&mut self, now: Instant, id: PeerId) {
        let mut run = std::mem::take(&mut self.allocation);
        self.start_if_stale(now, id);
        let budget = self.read_demands(now, id, &mut run);
        let totals = run.allocator.allocate(&budget, &run.demands, &mut run.grants);
        for (at, grant) in run.grants.iter().enumerate() {
            self.apply_grant(now, run.subscriptions[at], grant);
        }
        let receive = &mut self.peers[id].receive;
        let quality = &mut receive.quality;
        quality.recorder.note_run(&budget, &run.demands, &run.grants);
        let idle = totals.wanted_bps <= budget.reserve_bps;
        quality.unwanted_since = idle.then(|| quality.unwanted_since.unwrap_or(now));
        quality.totals = totals;
        quality.estimate_bps = budget.estimate_bps;
        quality.probed_bps = None;
        let soon = receive.is_starting(now) && !idle;
        let regular = now + if soon { RUN_INTERVAL_AT_START } else { RUN_INTERVAL };
        let next = totals.rerun_at.map_or(regular, |at| regular.min(self.start + at));
        receive.quality.next_run = (!run.grants.is_empty()).then_some(next);
        // A step is taken with a margin: to know no more than the rate would not be enough.
        let wanted = totals.wanted_bps.max(totals.next_step_bps.unwrap_or(0));
        receive.bandwidth.set_demand(now, wanted, totals.allocated_bps);
        self.set_pace(now, id);
        self.allocation = run;
    }

    /// Who wanted no video for a while begins anew with the next: a tab that was in the background,
    /// a room where all cameras were off. Nobody knows what the path carries by now, and a probe
    /// takes time.
    fn start_if_stale(&mut self, now: Instant, id: PeerId) {
        let receive = &mut self.peers[id].receive;
        let unwanted_since = receive.quality.unwanted_since;
        if unwanted_since.is_some_and(|since| now >= since + STALE_AFTER) {
            receive.shown = None;
        }
    }

    /// The same at once for everyone who subscribes to a track.
    pub(in crate::engine) fn allocate_for_track(&mut self, now: Instant, track: TrackId) {
        for at in 0..self.tracks[track].subscriptions.len() {
            let subscription = self.tracks[track].subscriptions[at];
            self.allocate(now, self.subscriptions[subscription].peer);
        }
    }

    /// What there is to share out, and among whom.
    fn read_demands(&mut self, now: Instant, id: PeerId, run: &mut Allocation) -> Budget {
        let Self { peers, tracks, subscriptions, rooms, touched_mirrors, shed, .. } = self;
        let peer = &peers[id];
        let receive = &peer.receive;
        let estimate = receive.bandwidth.estimate();
        let mut audio_bps = 0;
        let (mut lowest_bps, mut largest_bps) = (0, 0);
        run.demands.clear();
        run.subscriptions.clear();
        for &subscription in &receive.subscriptions {
            let id = subscription;
            let this = &mut subscriptions[id];
            let track = &tracks[this.track];
            let seated = rooms[track.room].last_n.forwards(track.participant, track.source);
            let withheld = match () {
                () if this.slot.is_none() => Some(Reason::NoSlot),
                () if track.muted => Some(Reason::Muted),
                () if rooms[track.room].last_n.is_direct() && this.preference.is_for_some() => {
                    Some(Reason::Direct)
                }
                () if !seated && !this.preference.pinned => Some(Reason::LastN),
                () => None,
            };
            run.options.clear();
            track.meter.options(now, &mut run.options);
            if track.kind == MediaKind::Audio {
                let off = this.preference.quality == Words::Off;
                this.reason = withheld.or(off.then_some(Reason::Off)).unwrap_or_default();
                let forwarded = this.reason == Reason::Best;
                let before = this.granted;
                this.granted = forwarded.then(|| LayerId::all_of(0));
                if this.granted != before && track.mirror().is_some() {
                    touched_mirrors.push(this.track);
                }
                this.selector.aim(this.granted);
                if forwarded {
                    audio_bps += run.options.iter().map(|o| o.bitrate_bps).max().unwrap_or(0);
                }
                continue;
            }
            this.is_shed = shed.trim(&mut run.options);
            run.subscriptions.push(id);
            if now.saturating_duration_since(this.since) < SETTLED_AFTER {
                this.memory.hurry();
            }
            let mut demand = Demand::new(this.track);
            demand.screen = track.source == Source::Screen;
            demand.preference = this.preference;
            demand.withheld = withheld;
            demand.granted = this.granted;
            demand.memory = this.memory;
            let lowest = run.options.iter().map(|option| option.bitrate_bps).min();
            let lowest = lowest.filter(|_| withheld.is_none()).unwrap_or(0);
            lowest_bps += lowest;
            largest_bps = lowest.max(largest_bps);
            run.demands.push(demand, run.options.iter().copied());
        }
        let estimate_bps = match receive.holds_back(now, &estimate) {
            false => u64::MAX,
            // Nothing higher is ever estimated, so that nothing would ever come back from a pause
            // that costs more. A queue will tell.
            true if receive.bandwidth.is_at_most() => u64::MAX,
            // A guess is no reason to show nothing: what is lowest goes out, and is measured.
            true if receive.is_starting(now) => {
                let video_bps = lowest_bps.min(START_BPS_MAX.max(largest_bps));
                estimate.target_bps.max(audio_bps + video_bps)
            }
            // Nothing is heard, or the worst. One video goes on: if nothing were sent, nothing could be
            // heard again.
            true if matches!(estimate.limited_by, LimitedBy::Outage | LimitedBy::Bounds) => {
                estimate.target_bps.max(audio_bps + largest_bps)
            }
            true => estimate.target_bps,
        };
        let lost = (estimate.loss.clamp(0.0, 1.0) * 100.0) as u64;
        let rtx_percent = lost.min(RTX_RESERVE_MAX_PERCENT);
        Budget {
            estimate_bps,
            reserve_bps: audio_bps
                + estimate_bps.checked_mul(rtx_percent).map_or(0, |bps| bps / 100),
            probed_bps: receive.quality.probed_bps,
            strained: receive.bandwidth.is_strained(now),
            now: self.age(now),
        }
    }

    /// Makes a grant what is aimed at.
    fn apply_grant(&mut self, now: Instant, id: SubscriptionId, grant: &Grant) {
        let Some(subscription) = self.subscriptions.get_mut(id) else { return };
        let paused_before = subscription.granted.is_none();
        let reason = match grant.reason {
            Reason::Best if subscription.is_shed => Reason::Overload,
            reason => reason,
        };
        let same_reason = subscription.reason == reason;
        subscription.memory = grant.memory;
        subscription.reason = reason;
        let moved = subscription.granted != grant.layer;
        subscription.granted = grant.layer;
        // What begins with a keyframe is told when that has come.
        let resumed =
            paused_before && grant.layer.is_some() && subscription.selector.current().is_some();
        if moved {
            subscription.selector.aim(grant.layer);
        }
        // Also when nothing moved: a keyframe whose first packet came late was of no use.
        self.start_subscription(now, id, KeyframeReason::Switch);
        let paused = grant.layer.is_none() && (!paused_before || !same_reason);
        if paused || resumed {
            self.tell_forwarding(now, id);
        }
        if moved {
            self.update_demand(now, grant.track);
        } else if !same_reason {
            self.touch_mirror(grant.track);
        }
    }
}
