//! From published packets to the subscriptions that want them.
//!
//! What a batch of datagrams brings is put down first, and goes through each subscription in one go:
//! a subscriber's state is looked up once for all packets of a frame, not once for each. A track that
//! many watch is offered to some of them, whose packets are then written, before it is the turn of
//! the next. The batch ends before anything else happens that a subscription could notice.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::Engine;
use super::build::PACKET_OVERHEAD;
use super::peer::{Outgoing, OutgoingKind, ReceiveState, Route};
use super::subscriptions::Subscription;
use crate::deliver::pacer::Class;
use crate::deliver::sent::SentPacket;
use crate::deliver::slot::Slot;
use crate::drops::DropReason;
use crate::forward::layer::Part;
use crate::forward::munge::Edit;
use crate::forward::selector::{Candidate, Verdict};
use crate::id::{PayloadType, TrackId};
use crate::negotiation::MediaKind;
use crate::publish::track::Track;
use crate::rtp::codec_view::PayloadInfo;

/// Packets of one batch. More would not be found in the nearest cache any more.
const BATCH_PACKETS: usize = 64;

/// Subscriptions that a batch is offered to before what they are owed is written: their state is
/// still in the cache then.
const AT_ONCE: usize = 32;

/// Published packets that are still to be offered, and how far that is.
#[derive(Debug, Default)]
pub(super) struct Batch {
    packets: Vec<Routed>,
    /// The first packet of the track that it is at.
    at: usize,
    /// The next subscription of that track. They may become fewer under way, and then one of them
    /// may be left out; none sees the batch twice.
    subscription: usize,
}

impl Batch {
    /// Whether some subscriptions have seen it and others have not.
    fn is_under_way(&self) -> bool {
        (self.at, self.subscription) != (0, 0)
    }

    /// The track that it is at, and the packets from its first one on.
    fn next_track(&self) -> Option<(TrackId, &[Routed])> {
        let rest = &self.packets[self.at..];
        rest.first().map(|packet| (packet.route.track, rest))
    }

    /// Goes on to the first packet of another track.
    fn pass_track(&mut self) {
        self.subscription = 0;
        self.at += 1;
        while let Some((id, _)) = self.next_track()
            && self.packets[..self.at].iter().any(|packet| packet.route.track == id)
        {
            self.at += 1;
        }
    }

    /// Forgets it, but keeps its memory.
    fn clear(&mut self) {
        self.packets.clear();
        (self.at, self.subscription) = (0, 0);
    }
}

/// A published packet on its way to the subscriptions.
#[derive(Debug)]
pub(super) struct Routed {
    pub(super) route: Route,
    /// Its place on the line of its encoding.
    pub(super) index: u64,
    pub(super) what: What,
}

/// What there is of it.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "padding alone is rare")]
pub(super) enum What {
    Media(Media),
    /// Nothing but padding: taken out of every line that follows its encoding.
    Padding,
}

/// A packet that is in the history.
#[derive(Debug)]
pub(super) struct Media {
    pub(super) arrived: Instant,
    /// The epoch of its encoding.
    pub(super) epoch: u32,
    /// Whether it came after one with a higher index.
    pub(super) late: bool,
    pub(super) timestamp: u32,
    pub(super) payload_type: PayloadType,
    pub(super) payload_bytes: usize,
    pub(super) info: PayloadInfo,
}

impl Engine {
    /// Puts a packet down for the subscriptions of its track.
    pub(super) fn route(&mut self, packet: Routed) {
        if self.batch.is_under_way() {
            self.route_batch();
        }
        self.batch.packets.push(packet);
        if self.batch.packets.len() >= BATCH_PACKETS {
            self.route_batch();
        }
    }

    /// Offers what was put down to all subscriptions that have not seen it.
    pub(super) fn route_batch(&mut self) {
        while self.offer_batch(usize::MAX) {}
    }

    /// Offers what was put down to some more subscriptions; false if that were the last. Those who
    /// are owed from before come first.
    pub(super) fn route_some(&mut self) -> bool {
        if self.batch.is_under_way() && self.dirty.len() >= AT_ONCE {
            return true;
        }
        self.offer_batch(AT_ONCE)
    }

    /// Offers the batch to at most so many subscriptions. False if it is done, and forgotten.
    fn offer_batch(&mut self, mut at_most: usize) -> bool {
        let mut batch = std::mem::take(&mut self.batch);
        while let Some((id, rest)) = batch.next_track() {
            let count = self.tracks.get(id).map_or(0, |track| track.subscriptions.len());
            let first = batch.subscription;
            let end = count.min(first.saturating_add(at_most));
            if first < end {
                let publisher = self.tracks[id].peer();
                let offer = |engine: &mut Self| {
                    engine.fan_out(id, first..end, rest);
                    Ok(())
                };
                // A panic is contained, and ends the publisher's part in it where there is one.
                match publisher {
                    Some(peer) => _ = self.guarded(peer, offer),
                    None => _ = self.contained(offer),
                }
                at_most -= end - first;
            }
            if end < count {
                batch.subscription = end;
                self.batch = batch;
                return true;
            }
            batch.pass_track();
        }
        batch.clear();
        self.batch = batch;
        false
    }

    /// Offers the packets of one track to some of its subscriptions.
    fn fan_out(&mut self, track_id: TrackId, range: Range<usize>, batch: &[Routed]) {
        let Self { tracks, subscriptions, peers, dirty, stats, switched, .. } = self;
        let track = &tracks[track_id];
        for &id in &track.subscriptions[range] {
            let subscription = &mut subscriptions[id];
            let peer = &mut peers[subscription.peer];
            let Some(at) = subscription.slot else { continue };
            let connected = peer.is_connected();
            let (mut forwarded, mut bytes) = (0, 0);
            for packet in batch.iter().filter(|packet| packet.route.track == track_id) {
                let media = match &packet.what {
                    What::Media(media) if connected => media,
                    What::Media(_) => continue,
                    What::Padding => {
                        skip(packet, track, subscription, &mut peer.receive.slots[usize::from(at)]);
                        continue;
                    }
                };
                let offered = forward(packet, media, track, subscription, at, &mut peer.receive);
                if media.info.frame_start && subscription.note_forwarded() {
                    switched.push(id);
                }
                match offered {
                    Ok(true) => {
                        forwarded += 1;
                        bytes += media.payload_bytes as u64;
                    }
                    Ok(false) => {}
                    Err(reason) => stats.drops.count(reason),
                }
            }
            if forwarded > 0 {
                peer.stats.rtp_out += forwarded;
                stats.rtp_out += forwarded;
                stats.rtp_bytes_out += bytes;
                if !peer.dirty {
                    peer.dirty = true;
                    dirty.push_back(subscription.peer);
                }
            }
        }
    }
}

/// Takes a packet of nothing but padding out of the line that follows its encoding.
fn skip(packet: &Routed, track: &Track, subscription: &Subscription, slot: &mut Slot) {
    let Routed { route, index, .. } = packet;
    let epoch = track.encodings[usize::from(route.encoding)].epoch;
    if subscription.selector.follows(route.encoding, epoch) {
        slot.line.skip(*index);
    }
}

/// Offers a packet to one subscription. True if it is now owed to its peer.
fn forward(
    packet: &Routed,
    media: &Media,
    track: &Track,
    subscription: &mut Subscription,
    at: u16,
    receive: &mut ReceiveState,
) -> Result<bool, DropReason> {
    let &Routed { route, index, .. } = packet;
    let &Media { arrived: now, epoch, late, timestamp, payload_bytes, ref info, .. } = media;
    let Some(codec) = track.codec(media.payload_type) else { return Ok(false) };
    let slot = &mut receive.slots[usize::from(at)];
    let Some(choice) = slot.choose(route.track, codec) else { return Ok(false) };
    let candidate =
        Candidate { now, encoding: route.encoding, epoch, index, late, timestamp, info };
    let edit = match subscription.selector.decide(&candidate) {
        Verdict::Drop => return Ok(false),
        Verdict::Skip => {
            slot.line.skip(index);
            return Ok(false);
        }
        Verdict::Fill => Edit::fill(),
        Verdict::Switch(edit) => {
            let aligned = align(packet, track, subscription, timestamp, choice.clock_rate);
            slot.line.begin_aligned(now, index, timestamp, aligned, choice.clock_rate);
            edit
        }
        Verdict::Forward(edit) => edit,
    };
    let Some(mapped) = slot.line.map(now, index, timestamp) else { return Ok(false) };
    let packet = SentPacket {
        index: mapped.index,
        track: route.track,
        encoding: route.encoding,
        part: Part::of(info),
        epoch,
        source_index: index,
        timestamp: mapped.timestamp,
        edit,
    };
    if choice.rtx.is_some() {
        slot.sent.remember(now, packet);
    }
    let payload_bytes = if edit.empty { 0 } else { payload_bytes };
    slot.packets = slot.packets.wrapping_add(1);
    slot.octets = slot.octets.wrapping_add(payload_bytes as u32);
    receive.rtx_budget.earn(payload_bytes);
    let outgoing = Outgoing {
        slot: at,
        packet,
        payload_type: choice.payload_type,
        unwrap_red: choice.unwrap_red,
        kind: OutgoingKind::Media,
    };
    let class = match track.kind {
        MediaKind::Audio => Class::Audio,
        MediaKind::Video => Class::Video,
    };
    let pushed = receive.pacer.push(now, class, payload_bytes + PACKET_OVERHEAD, outgoing);
    pushed.map_err(|_| DropReason::EgressFull)?;
    // At the start the pace is a guess, and many keyframes come at once. Behind a queue on the path
    // nothing comes sooner for having left sooner.
    let hurries = info.keyframe_start && class == Class::Video && !receive.is_starting(now);
    if hurries && receive.bandwidth.queue_delay() < HASTE_QUEUE_MAX {
        receive.pacer.hurry(now);
    }
    Ok(true)
}

/// With a longer queue on the path keyframes leave at the steady rate.
const HASTE_QUEUE_MAX: Duration = Duration::from_millis(20);

/// The time of a packet on the clock of what was forwarded before it.
fn align(
    packet: &Routed,
    track: &Track,
    subscription: &Subscription,
    timestamp: u32,
    clock_rate: u32,
) -> Option<u32> {
    let encoding = &track.encodings[usize::from(packet.route.encoding)];
    let (left, epoch) = subscription.selector.left()?;
    let left = track.encodings.get(usize::from(left)).filter(|left| left.epoch == epoch)?;
    left.clock.translate(&encoding.clock, timestamp, clock_rate)
}
