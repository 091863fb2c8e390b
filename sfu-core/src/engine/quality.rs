//! Who gets which quality: feedback and preferences in, grants out.
//!
//! What was measured of tracks and paths comes together here, goes through the allocation, and
//! comes back as what selectors aim at, publishers are asked for and subscribers are told.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Engine;
use crate::bandwidth::allocate::{Allocator, Budget, Demand, Demands, Grant, Totals};
use crate::command::{CommandError, Reply, Source};
use crate::decision::{Estimate, KeyframeReason, LayerOption, LimitedBy, Reason, What};
use crate::deliver::pacer::Cluster;
use crate::event::Event;
use crate::forward::layer::LayerId;
use crate::id::{PeerId, RoomId, SubscriptionId, TrackId};
use crate::limits::SUBSCRIPTIONS_PER_PEER_MAX;
use crate::negotiation::MediaKind;
use crate::preference::{Preference, Quality as Words, RoomPolicy};
use crate::publish::demand::Asked;
use crate::recorder::Recorder;

/// What decides about a peer's quality beside the estimate.
#[derive(Debug, Default)]
pub(super) struct Quality {
    /// What the peer said of tracks, subscribed or not. At most
    /// [`SUBSCRIPTIONS_PER_PEER_MAX`] entries.
    preferences: BTreeMap<TrackId, Preference>,
    /// When bandwidth is to be shared out anew.
    pub(super) next_run: Option<Instant>,
    /// The estimate of the last run.
    estimate_bps: u64,
    /// What a probe has shown to pass since the last run.
    probed_bps: Option<u64>,
    totals: Totals,
    recorder: Recorder,
}

/// The buffers of a run.
#[derive(Debug, Default)]
pub(super) struct Allocation {
    allocator: Allocator,
    demands: Demands,
    grants: Vec<Grant>,
    options: Vec<LayerOption>,
    /// The subscription behind each demand.
    subscriptions: Vec<SubscriptionId>,
}

/// Bandwidth is shared out at least this often: measured rates move.
const RUN_INTERVAL: Duration = Duration::from_millis(500);
/// The same while tracks and estimate are new: what is measured changes fast.
const RUN_INTERVAL_AT_START: Duration = Duration::from_millis(100);
/// How long after the first media that is.
const START: Duration = Duration::from_millis(1_500);
/// A subscription younger than this goes up as soon as there is room: nobody likes to wait for a
/// picture to become sharp.
const SETTLED_AFTER: Duration = Duration::from_secs(4);
/// Loss of this share for so long is the path's nature.
const STEADY_LOSS: f32 = 0.03;
const STEADY_AFTER: Duration = Duration::from_secs(2);
/// An estimate that has risen by this much, in per cent, is worth a run of its own.
const RISE_PERCENT: u64 = 5;
/// A peer that promised feedback and has given none for so long never will: it is sent what it
/// wants, as one that promised none.
const UNHEARD_MAX: Duration = Duration::from_secs(3);
/// More of the estimate is never set aside for retransmissions, in per cent.
const RTX_RESERVE_MAX_PERCENT: u64 = 40;

impl Quality {
    pub(super) fn totals(&self) -> &Totals {
        &self.totals
    }

    pub(super) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    pub(super) fn recorder_mut(&mut self) -> &mut Recorder {
        &mut self.recorder
    }
}

impl Engine {
    /// Says what a peer wants of a track, which it may not have yet.
    pub(super) fn prefer(
        &mut self,
        now: Instant,
        id: PeerId,
        track: TrackId,
        preference: Preference,
    ) -> Result<Reply, CommandError> {
        let Self { peers, tracks, subscriptions, .. } = self;
        let peer = peers.get_mut(id).ok_or(CommandError::NoSuchPeer)?;
        if tracks.get(track).is_none_or(|track| track.room != peer.room) {
            return Err(CommandError::NoSuchTrack);
        }
        let preferences = &mut peer.receive.quality.preferences;
        if preferences.len() >= SUBSCRIPTIONS_PER_PEER_MAX {
            preferences.retain(|&track, _| tracks.contains_key(track));
        }
        if preferences.len() >= SUBSCRIPTIONS_PER_PEER_MAX && !preferences.contains_key(&track) {
            return Err(CommandError::Limit("preferences per peer"));
        }
        preferences.insert(track, preference);
        for &subscription in &peer.receive.subscriptions {
            if subscriptions[subscription].track == track {
                subscriptions[subscription].preference = preference;
                subscriptions[subscription].memory.hurry();
            }
        }
        self.reconsider(now, id);
        Ok(Reply::Done)
    }

    /// Sets what a room forwards at all.
    pub(super) fn set_room_policy(
        &mut self,
        now: Instant,
        id: RoomId,
        policy: RoomPolicy,
    ) -> Result<Reply, CommandError> {
        let room = self.rooms.get_mut(id).ok_or(CommandError::NoSuchRoom)?;
        if room.last_n.set_policy(now, policy) {
            self.seats_moved(now, id);
        }
        Ok(Reply::Done)
    }

    /// What a peer said of a track.
    pub(super) fn preference(&self, peer: PeerId, track: TrackId) -> Preference {
        let preferences = &self.peers[peer].receive.quality.preferences;
        preferences.get(&track).copied().unwrap_or_default()
    }

    /// Something changed that the allocation depends on: it runs before the next drain.
    pub(super) fn reconsider(&mut self, now: Instant, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.receive.quality.next_run = Some(now);
            self.touch(id);
        }
    }

    /// The same for everyone who subscribes to a track.
    pub(super) fn reconsider_track(&mut self, now: Instant, track: TrackId) {
        for at in 0..self.tracks[track].subscriptions.len() {
            let subscription = self.tracks[track].subscriptions[at];
            self.reconsider(now, self.subscriptions[subscription].peer);
        }
    }

    /// The same for everyone in a room.
    pub(super) fn reconsider_room(&mut self, now: Instant, room: RoomId) {
        for at in 0..self.rooms[room].peers.len() {
            let (_, peer) = self.rooms[room].peers[at];
            self.reconsider(now, peer);
        }
    }

    /// The estimate of a peer's path may have moved.
    pub(super) fn estimate_moved(&mut self, now: Instant, id: PeerId) {
        let age = self.age(now);
        let receive = &mut self.peers[id].receive;
        let estimate = receive.bandwidth.estimate();
        receive.heard |= tells(&estimate);
        receive.lossy_since = (estimate.loss >= STEADY_LOSS
            && estimate.limited_by != LimitedBy::Loss)
            .then(|| receive.lossy_since.unwrap_or(now));
        let silent = estimate.limited_by == LimitedBy::Outage
            || estimate.limited_by == LimitedBy::Bounds && receive.silent;
        let back = std::mem::replace(&mut receive.silent, silent) && !silent;
        let quality = &mut receive.quality;
        while let Some(bitrate_bps) = receive.bandwidth.poll_probed() {
            quality.probed_bps = quality.probed_bps.max(Some(bitrate_bps));
            quality.recorder.note(age, What::Probed { bitrate_bps });
        }
        quality.recorder.note_estimate(age, &estimate);
        let risen = quality.estimate_bps.saturating_mul(100 + RISE_PERCENT) / 100;
        let matters = estimate.target_bps > risen
            || estimate.target_bps < quality.totals.allocated_bps
            || quality.probed_bps.is_some();
        if matters && estimate.target_bps != quality.estimate_bps {
            quality.next_run = Some(now);
        }
        if back {
            self.start_again(now, id);
        }
        self.set_pace(now, id);
        self.touch(id);
    }

    /// A path is back: what was sent meanwhile is lost, and keyframes are worth more than all of
    /// it.
    fn start_again(&mut self, now: Instant, id: PeerId) {
        let receive = &mut self.peers[id].receive;
        if let Some((since, _)) = &mut receive.sending {
            *since = now;
        }
        receive.pacer.drop_retransmissions();
        for subscription in receive.subscriptions.clone() {
            if self.tracks[self.subscriptions[subscription].track].kind == MediaKind::Video {
                self.request_keyframe(now, subscription, KeyframeReason::Loss);
            }
        }
    }

    /// Runs the estimator's clock, sends its probes, and shares out what there is if that is due.
    pub(super) fn share_bandwidth(&mut self, now: Instant, id: PeerId) {
        let receive = &mut self.peers[id].receive;
        if receive.bandwidth.poll_timeout().is_some_and(|at| at <= now) {
            receive.bandwidth.handle_timeout(now);
            self.estimate_moved(now, id);
        }
        self.send_probes(now, id);
        if self.peers[id].receive.quality.next_run.is_some_and(|at| at <= now) {
            self.allocate(now, id);
            self.send_probes(now, id);
        }
    }

    /// Paces by the estimate, or by what is granted if that is more, as it is at the start.
    fn set_pace(&mut self, now: Instant, id: PeerId) {
        let receive = &mut self.peers[id].receive;
        let estimate = receive.bandwidth.estimate();
        let start = if receive.is_starting(now) { START_PACE_BPS } else { 0 };
        let granted = receive.quality.totals.allocated_bps;
        let pace = estimate.target_bps.max(granted).max(start);
        let held = receive.holds_back(now, &estimate).then_some(pace);
        receive.pacer.set_estimate(now, held);
    }

    fn send_probes(&mut self, now: Instant, id: PeerId) {
        let age = self.age(now);
        let receive = &mut self.peers[id].receive;
        let mut any = false;
        while let Some(probe) = receive.bandwidth.poll_probe(now) {
            let micros = u64::try_from(probe.duration.as_micros()).unwrap_or(u64::MAX);
            let cluster = Cluster {
                id: probe.id,
                bitrate_bps: probe.bitrate_bps,
                bytes_min: probe.bitrate_bps.saturating_mul(micros) / 8_000_000,
                packets_min: u32::from(probe.packets_min),
            };
            receive.pacer.probe(now, cluster);
            let (bitrate_bps, why) = (probe.bitrate_bps, probe.why);
            receive.quality.recorder.note(age, What::Probe { bitrate_bps, why });
            any = true;
        }
        if any {
            self.mark_dirty(id);
        }
    }

    /// Shares out a peer's bandwidth among its video subscriptions.
    fn allocate(&mut self, now: Instant, id: PeerId) {
        let mut run = std::mem::take(&mut self.allocation);
        let budget = self.read_demands(now, id, &mut run);
        let totals = run.allocator.allocate(&budget, &run.demands, &mut run.grants);
        for (at, grant) in run.grants.iter().enumerate() {
            self.apply_grant(now, run.subscriptions[at], grant);
        }
        let receive = &mut self.peers[id].receive;
        let quality = &mut receive.quality;
        quality.recorder.note_run(&budget, &run.demands, &run.grants);
        quality.totals = totals;
        quality.estimate_bps = budget.estimate_bps;
        quality.probed_bps = None;
        let regular =
            now + if receive.is_starting(now) { RUN_INTERVAL_AT_START } else { RUN_INTERVAL };
        let next = totals.rerun_at.map_or(regular, |at| regular.min(self.start + at));
        receive.quality.next_run = (!run.grants.is_empty()).then_some(next);
        // A step is taken with a margin: to know no more than the rate would not be enough.
        let wanted = totals.wanted_bps.max(totals.next_step_bps.unwrap_or(0));
        receive.bandwidth.set_demand(now, wanted, totals.allocated_bps);
        self.set_pace(now, id);
        self.allocation = run;
    }

    /// The same at once for everyone who subscribes to a track.
    pub(super) fn allocate_for_track(&mut self, now: Instant, track: TrackId) {
        for at in 0..self.tracks[track].subscriptions.len() {
            let subscription = self.tracks[track].subscriptions[at];
            self.allocate(now, self.subscriptions[subscription].peer);
        }
    }

    /// What there is to share out, and among whom.
    fn read_demands(&mut self, now: Instant, id: PeerId, run: &mut Allocation) -> Budget {
        let Self { peers, tracks, subscriptions, rooms, touched_mirrors, .. } = self;
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
            now: self.age(now),
        }
    }

    /// Makes a grant what is aimed at.
    fn apply_grant(&mut self, now: Instant, id: SubscriptionId, grant: &Grant) {
        let Some(subscription) = self.subscriptions.get_mut(id) else { return };
        let paused_before = subscription.granted.is_none();
        let same_reason = subscription.reason == grant.reason;
        subscription.memory = grant.memory;
        subscription.reason = grant.reason;
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

    /// Tells a subscriber, and the recorder, what is forwarded to it from now on.
    pub(super) fn tell_forwarding(&mut self, now: Instant, id: SubscriptionId) {
        let age = self.age(now);
        let Some(subscription) = self.subscriptions.get_mut(id) else { return };
        let (peer, track) = (subscription.peer, subscription.track);
        let layer = subscription.selector.current().filter(|_| subscription.granted.is_some());
        let said = (layer, subscription.reason);
        if subscription.told == Some(said) {
            return;
        }
        let from = subscription.told.replace(said).and_then(|(layer, _)| layer);
        let size = layer.map_or((0, 0), |layer| self.tracks[track].meter.size_of(layer));
        let what = What::Switched { track, from, to: layer };
        self.peers[peer].receive.quality.recorder.note(age, what);
        self.tell(Event::Forwarding { peer, track, layer, size, reason: said.1 });
    }

    /// Works out again which encodings of a track anybody is to get, and tells its publisher if
    /// that has changed.
    pub(super) fn update_demand(&mut self, now: Instant, id: TrackId) {
        let Self { tracks, subscriptions, .. } = self;
        let Some(track) = tracks.get_mut(id).filter(|track| track.kind == MediaKind::Video) else {
            return;
        };
        let served = track.subscriptions.iter().map(|&id| &subscriptions[id]);
        let served = served.filter(|subscription| subscription.slot.is_some());
        let watched = served.clone().next().is_some() || !track.wishes.is_empty();
        let layers = served.flat_map(|this| {
            // Who has the best there is would take more: a publisher may begin with fewer layers.
            let best = this.granted.filter(|_| this.reason == Reason::Best);
            let more = best.map(|layer| LayerId { spatial: SPATIAL_MAX, ..layer });
            this.granted.into_iter().chain(more).chain(this.selector.current())
        });
        let layers = layers.chain(track.wishes.iter().flat_map(|wished| wished.wish.layers()));
        let lowest = track.meter.lowest();
        let asked = track.demand.update(now, layers, lowest, watched);
        let peer = track.peer();
        self.touch_source(id);
        // What a mirror asks for is worked out there.
        let Some(peer) = peer else { return };
        if let Some(Asked { encodings: wanted, max_spatial }) = asked {
            self.tracks[id].meter.set_wanted(now, &wanted, max_spatial);
            self.tell(Event::Demand { peer, track: id, wanted, max_spatial });
        }
    }

    /// Tells of the layers that forwarding has changed over to.
    pub(super) fn tell_switched(&mut self, now: Instant) {
        for at in 0..self.switched.len() {
            let id = self.switched[at];
            self.leave_behind(now, id);
            self.tell_forwarding(now, id);
            if let Some(track) = self.subscriptions.get(id).map(|this| this.track) {
                self.update_demand(now, track);
            }
        }
        self.switched.clear();
    }

    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.start)
    }
}

/// The highest spatial layer there can be.
const SPATIAL_MAX: u8 = 7;
/// Up to this much is sent to show everybody's lowest layer before anything is known of the path;
/// more only for a single one, whose first keyframe makes it look larger than it is.
const START_BPS_MAX: u64 = 1_500_000;
/// While little is known, packets are spread as if the path carried this: so that the first keyframe
/// does not take longer than receivers have patience.
const START_PACE_BPS: u64 = 5_000_000;

impl super::peer::ReceiveState {
    /// Whether the path has lost packets for a while, and not because of our rate. Copies on fresh
    /// loss would make a congestion worse.
    pub(super) fn is_lossy(&self, now: Instant) -> bool {
        self.lossy_since.is_some_and(|since| now.saturating_duration_since(since) >= STEADY_AFTER)
    }

    /// Whether media has only just begun to leave.
    pub(super) fn is_starting(&self, now: Instant) -> bool {
        let new = |&(since, _): &(Instant, _)| now.saturating_duration_since(since) < START;
        self.sending.as_ref().is_none_or(new)
    }

    /// Whether the estimate is one: a peer that says nothing of what arrives, whether it promised
    /// to or not, is sent what it wants.
    fn holds_back(&self, now: Instant, estimate: &Estimate) -> bool {
        let long = |&(since, _): &(Instant, _)| now.saturating_duration_since(since) > UNHEARD_MAX;
        let unheard = !self.heard && !tells(estimate);
        self.feedback && !(unheard && self.sending.as_ref().is_some_and(long))
    }
}

/// Whether anything was heard of what arrives.
fn tells(estimate: &Estimate) -> bool {
    estimate.acknowledged_bps.is_some() || estimate.remb_bps.is_some()
}
