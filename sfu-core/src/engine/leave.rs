//! What is left behind: when a path has become too narrow for what was forwarded, the link shall
//! not be filled with what nobody needs any more, whether it waits to be sent or is asked for again.
//!
//! Numbers that were given away are always sent: empty packets take the places.

use std::time::{Duration, Instant};

use super::Engine;
use super::build::PACKET_OVERHEAD;
use super::peer::{Outgoing, OutgoingKind};
use super::subscriptions::Subscription;
use crate::decision::{KeyframeReason, Reason};
use crate::deliver::pacer::Class;
use crate::deliver::sent::SentPacket;
use crate::deliver::slot::Slot;
use crate::forward::layer::LayerId;
use crate::forward::munge::Edit;
use crate::forward::selector::Worth;
use crate::id::SubscriptionId;
use crate::publish::track::Track;

impl Engine {
    /// Forwarding has changed over: empties what waits of layers that were left, and begins anew if
    /// too much of them is missing.
    pub(super) fn leave_behind(&mut self, now: Instant, id: SubscriptionId) {
        self.empty_left(now, id);
        let Self { peers, tracks, subscriptions, .. } = self;
        let Some(subscription) = subscriptions.get(id) else { return };
        let (Some(at), Some(track)) = (subscription.slot, tracks.get(subscription.track)) else {
            return;
        };
        let slot = &peers[subscription.peer].receive.slots[usize::from(at)];
        if misses_much(now, track, subscription, slot) {
            self.give_up_left(now, id);
        }
    }

    /// Asks for a keyframe instead of sending again what is missing of layers that were left.
    pub(super) fn give_up_left(&mut self, now: Instant, id: SubscriptionId) {
        let Self { peers, tracks, subscriptions, .. } = self;
        let subscription = &subscriptions[id];
        let track = &tracks[subscription.track];
        peers[subscription.peer].receive.pacer.revise(Class::Retransmission, |outgoing, bytes| {
            let mine = subscription.slot == Some(outgoing.slot);
            let left = mine && worth(track, subscription, &outgoing.packet) == Worth::Left;
            if left { 0 } else { bytes }
        });
        self.request_keyframe(now, id, KeyframeReason::Loss);
    }

    fn empty_left(&mut self, now: Instant, id: SubscriptionId) {
        let Self { peers, tracks, subscriptions, .. } = self;
        let Some(subscription) = subscriptions.get(id) else { return };
        let (Some(at), Some(track)) = (subscription.slot, tracks.get(subscription.track)) else {
            return;
        };
        let Some(current) = subscription.selector.current() else { return };
        let receive = &mut peers[subscription.peer].receive;
        // Without a queue on the path it is only spread: it will soon be gone, and is worth showing.
        let path = receive.bandwidth.queue_delay();
        if path < QUEUED_MIN || receive.pacer.queue_time(now).is_zero() {
            return;
        }
        let mine = |outgoing: &Outgoing| outgoing.slot == at;
        receive.pacer.revise(Class::Retransmission, |outgoing, bytes| {
            let spent =
                mine(outgoing) && worth(track, subscription, &outgoing.packet) == Worth::Spent;
            if spent { 0 } else { bytes }
        });
        let sent = &mut receive.slots[usize::from(at)].sent;
        // The picture that is on its way is sent to its end: no later one can do without it.
        let mut under_way = None;
        let mut emptied = false;
        receive.pacer.revise(Class::Video, |outgoing, bytes| {
            if !mine(outgoing) || outgoing.kind != OutgoingKind::Media {
                return bytes;
            }
            let packet = &mut outgoing.packet;
            let first = *under_way.get_or_insert(packet.timestamp);
            let left = match worth(track, subscription, packet) {
                Worth::Needed => false,
                Worth::Left => packet.timestamp != first,
                Worth::Spent => {
                    packet.encoding != current.encoding || packet.part.spatial() > current.spatial
                }
            };
            let last = packet.part.ends() && packet.part.spatial() == current.spatial;
            if left {
                emptied = true;
                packet.edit = Edit::fill();
            } else if last && packet.timestamp != first {
                packet.edit.end_of_picture = true;
            } else {
                return bytes;
            }
            sent.edited(packet.index, packet.edit);
            if left { PACKET_OVERHEAD } else { bytes }
        });
        if emptied && let Some(subscription) = subscriptions.get_mut(id) {
            subscription.selector.take_back();
        }
    }
}

/// A path with such a queue is too narrow now.
const QUEUED_MIN: Duration = Duration::from_millis(30);

/// Whether it is the path that keeps a subscription from getting more.
fn is_narrow(subscription: &Subscription) -> bool {
    matches!(subscription.reason, Reason::Bandwidth | Reason::Settling | Reason::Priority)
}

/// Whether pictures that miss packets of a layer that was left are not worth completing: where only
/// the lowest spatial layer is forwarded, whose keyframe is small, or where so much is missing that
/// any keyframe takes less.
pub(super) fn is_past_repair(
    now: Instant,
    track: &Track,
    subscription: &Subscription,
    slot: &Slot,
) -> bool {
    let lowest = subscription.selector.current().is_some_and(|current| current.spatial == 0);
    lowest || misses_much(now, track, subscription, slot)
}

/// Whether more is asked for of layers that were left than is worth to be sent again.
fn misses_much(now: Instant, track: &Track, subscription: &Subscription, slot: &Slot) -> bool {
    let Some(since) = now.checked_sub(ASKED_LATELY) else { return false };
    let is_left = |packet: &SentPacket| worth(track, subscription, packet) == Worth::Left;
    slot.sent.asked(since).filter(is_left).count() > LEFT_REPAIRED_MAX
}

/// So many full packets take longer than the keyframe of a small picture, whatever the codec.
const LEFT_REPAIRED_MAX: usize = 16;
/// What was asked for earlier has come by now.
const ASKED_LATELY: Duration = Duration::from_millis(500);

/// What a packet that was forwarded is still worth. On a path that carries what is wanted, all is:
/// what was shown last is not to stop early.
pub(super) fn worth(track: &Track, subscription: &Subscription, packet: &SentPacket) -> Worth {
    if !is_narrow(subscription) || packet.track != subscription.track || packet.edit.empty {
        return Worth::Needed;
    }
    let SentPacket { encoding, epoch, source_index, part, .. } = *packet;
    let worth = subscription.selector.worth(encoding, epoch, source_index, part);
    let area = |encoding| {
        let (width, height) = track.meter.size_of(LayerId::all_of(encoding));
        u32::from(width) * u32::from(height)
    };
    match subscription.selector.current() {
        // Of a smaller encoding: it was left for more, not for less.
        Some(now) if now.encoding != encoding && area(encoding) <= area(now.encoding) => {
            Worth::Needed
        }
        _ => worth,
    }
}
