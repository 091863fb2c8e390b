//! What the path to a peer carries, as far as is known, and what follows at once: the pace, probes,
//! and whether it is time to share out anew.

use std::time::{Duration, Instant};

use crate::bandwidth::SendSide;
use crate::decision::{Estimate, KeyframeReason, LimitedBy, What};
use crate::deliver::pacer::Cluster;
use crate::engine::Engine;
use crate::engine::peer::ReceiveState;
use crate::id::PeerId;
use crate::negotiation::MediaKind;

/// How long after the first video tracks and estimate are new.
const START: Duration = Duration::from_millis(1_500);
/// Loss of this share for so long is the path's nature.
const STEADY_LOSS: f32 = 0.03;
const STEADY_AFTER: Duration = Duration::from_secs(2);
/// An estimate that has risen by this much, in per cent, is worth a run of its own.
const RISE_PERCENT: u64 = 5;
/// A peer that promised feedback and has given none for so long never will: it is sent what it
/// wants, as one that promised none.
const UNHEARD_MAX: Duration = Duration::from_secs(3);
/// While little is known, packets are spread as if the path carried this: so that the first keyframe
/// does not take longer than receivers have patience.
const START_PACE_BPS: u64 = 5_000_000;

/// An estimate so much above what is granted, in per cent of it, leaves room for bursts.
const HEADROOM_PERCENT: u64 = 130;
/// How long bursts become once there has been room for so long: enough for a frame, then for most
/// keyframes. What has waited on the way after one makes them short again.
const ROOMY_BURSTS: [(Duration, Duration); 2] = [
    (Duration::from_secs(5), Duration::from_millis(60)),
    (Duration::from_secs(1), Duration::from_millis(20)),
];

impl Engine {
    /// The estimate of a peer's path may have moved.
    pub(in crate::engine) fn estimate_moved(&mut self, now: Instant, id: PeerId) {
        let age = self.age(now);
        let receive = &mut self.peers[id].receive;
        let estimate = receive.bandwidth.estimate();
        receive.heard |= tells(&estimate);
        receive.lossy_since = (estimate.loss >= STEADY_LOSS
            && estimate.limited_by != LimitedBy::Loss)
            .then(|| receive.lossy_since.unwrap_or(now));
        let silent = receive.bandwidth.is_dark();
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
        if let Some(since) = &mut receive.shown {
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
    pub(in crate::engine) fn share_bandwidth(&mut self, now: Instant, id: PeerId) {
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
    pub(super) fn set_pace(&mut self, now: Instant, id: PeerId) {
        let receive = &mut self.peers[id].receive;
        let estimate = receive.bandwidth.estimate();
        let start = if receive.is_starting(now) { START_PACE_BPS } else { 0 };
        let granted = receive.quality.totals.allocated_bps;
        let pace = estimate.target_bps.max(granted).max(start);
        let held = receive.holds_back(now, &estimate).then_some(pace);
        receive.pacer.set_estimate(now, held);
        let roomy = start == 0 && has_headroom(&receive.bandwidth, &estimate, granted);
        receive.roomy_since = roomy.then(|| receive.roomy_since.unwrap_or(now));
        let lasts = |after| receive.roomy_since.is_some_and(|since| now >= since + after);
        let longer = ROOMY_BURSTS.into_iter().find(|&(after, _)| lasts(after));
        receive.pacer.set_burst(longer.map(|(_, burst)| burst));
    }

    pub(super) fn send_probes(&mut self, now: Instant, id: PeerId) {
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
}

impl ReceiveState {
    /// Whether the path has lost packets for a while, and not because of our rate. Copies on fresh
    /// loss would make a congestion worse.
    pub(in crate::engine) fn is_lossy(&self, now: Instant) -> bool {
        self.lossy_since.is_some_and(|since| now.saturating_duration_since(since) >= STEADY_AFTER)
    }

    /// Whether video has only just begun to leave, or has yet to.
    pub(in crate::engine) fn is_starting(&self, now: Instant) -> bool {
        self.shown.is_none_or(|since| now.saturating_duration_since(since) < START)
    }

    /// Whether the estimate is one: a peer that says nothing of what arrives, whether it promised
    /// to or not, is sent what it wants.
    pub(super) fn holds_back(&self, now: Instant, estimate: &Estimate) -> bool {
        let long = |&(since, _): &(Instant, _)| now.saturating_duration_since(since) > UNHEARD_MAX;
        let unheard = !self.heard && !tells(estimate);
        self.feedback && !(unheard && self.sending.as_ref().is_some_and(long))
    }
}

/// Whether the path carries clearly more than is granted, and frames at once.
fn has_headroom(path: &SendSide, estimate: &Estimate, granted_bps: u64) -> bool {
    estimate.target_bps.saturating_mul(100) >= granted_bps.saturating_mul(HEADROOM_PERCENT)
        && path.takes_bursts()
}

/// Whether anything was heard of what arrives.
fn tells(estimate: &Estimate) -> bool {
    estimate.acknowledged_bps.is_some() || estimate.remb_bps.is_some()
}
