//! What a subscriber misses is sent again: which of it, and how often.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::build::PACKET_OVERHEAD;
use super::peer::{Outgoing, OutgoingKind, ReceiveState};
use super::{Engine, leave};
use crate::bandwidth::SendSide;
use crate::decision::KeyframeReason;
use crate::deliver::copies;
use crate::deliver::pacer::Class;
use crate::deliver::sent::SentPacket;
use crate::drops::DropReason;
use crate::forward::munge::Edit;
use crate::forward::selector::Worth;
use crate::id::{PeerId, Ssrc};
use crate::limits::RTX_AGE_MAX;
use crate::negotiation::CodecParameters;
use crate::publish::history::Stored;
use crate::publish::track::Track;

/// A packet to be sent again, and how often.
#[derive(Debug)]
struct Again {
    outgoing: Outgoing,
    payload_bytes: usize,
    times: u8,
}

impl Engine {
    /// Answers a NACK (RFC 4585 §6.2.1): every packet once, then the copies, in turn, so that a
    /// burst of losses does not take all of one packet's.
    pub(super) fn repair(
        &mut self,
        now: Instant,
        id: PeerId,
        ssrc: Ssrc,
        sequences: impl Iterator<Item = u16> + Clone,
    ) {
        let together = sequences.clone().count();
        let mut heap: SmallVec<[Again; 8]> = SmallVec::new();
        for sequence in sequences {
            match self.recall(now, id, ssrc, sequence, together) {
                Ok(again) => heap.push(again),
                Err(reason) => self.count(reason),
            }
        }
        let most = heap.iter().map(|again| again.times).max().unwrap_or(0);
        for round in 0..most {
            for again in heap.iter().filter(|again| again.times > round) {
                if let Err(reason) = self.send_again(now, id, again, round > 0) {
                    self.count(reason);
                }
            }
        }
        self.mark_dirty(id);
    }

    /// Sends again what was sent again in vain.
    pub(super) fn repair_lost_again(&mut self, now: Instant, id: PeerId) {
        while let Some((ssrc, sequence)) = self.peers[id].receive.bandwidth.poll_lost_again() {
            let slots = &mut self.peers[id].receive.slots;
            let slot = slots.iter_mut().find(|slot| slot.send.rtx_ssrc == Some(ssrc));
            let lost = slot.and_then(|slot| Some((slot.send.ssrc, slot.sent.lost(sequence)?)));
            if let Some((ssrc, sequence)) = lost {
                self.repair(now, id, ssrc, std::iter::once(sequence));
            }
        }
    }

    /// One packet that is asked for, as it goes out by the subscriber's RTX stream. Without RTX
    /// there is no answer: the same SRTP index must never protect two different packets (RFC 3711
    /// §9.1).
    ///
    /// What nobody needs any more is answered by an empty packet if it is of the encoding that is
    /// forwarded: layers say of themselves what they build on. If it is of another one, there is no
    /// answer: receivers of a codec without layers go by sequence numbers, and would take what comes
    /// behind an empty packet for decodable; the keyframe behind it ends their waiting.
    fn recall(
        &mut self,
        now: Instant,
        id: PeerId,
        ssrc: Ssrc,
        sequence: u16,
        together: usize,
    ) -> Result<Again, DropReason> {
        let Self { peers, tracks, subscriptions, .. } = self;
        let receive = &mut peers[id].receive;
        let at = receive.slots.iter().position(|slot| slot.send.ssrc == ssrc);
        let at = at.ok_or(DropReason::NackMiss)?;
        let times = receive.copies(now, together);
        let slot = &mut receive.slots[at];
        // Asked first: a refusal must not count as a try, nor hold up the next one.
        if !receive.rtx_budget.allows_a_packet() {
            return Err(DropReason::RtxBudget);
        }
        let rtt = receive.rtt.map(|rtt| round_trip(rtt, &receive.bandwidth));
        let mut packet = slot.sent.recall(now, sequence, rtt)?;
        let times = if slot.sent.is_asked_again(packet.index) { 1 } else { times };
        let track = tracks.get(packet.track).ok_or(DropReason::NackMiss)?;
        if let Some(id) = slot.subscription
            && let Some(subscription) = subscriptions.get(id)
        {
            match leave::worth(track, subscription, &packet) {
                Worth::Needed => {}
                // Cheaper than to repair what is not shown any more.
                Worth::Left if leave::is_past_repair(now, track, subscription, slot) => {
                    self.give_up_left(now, id);
                    return Err(DropReason::NackSpent);
                }
                Worth::Left => {}
                Worth::Spent if subscription.selector.follows(packet.encoding, packet.epoch) => {
                    packet.edit = Edit::fill();
                }
                Worth::Spent => return Err(DropReason::NackSpent),
            }
        }
        let (payload_type, payload_bytes) = match packet.edit.empty {
            true => (slot.retransmits(), 0),
            false => {
                let (codec, stored, payload) =
                    original(track, &packet).ok_or(DropReason::NackMiss)?;
                let age = now.saturating_duration_since(stored.arrival);
                if age > RTX_AGE_MAX + rtt.unwrap_or_default() {
                    if let Some(id) = slot.subscription {
                        self.request_keyframe(now, id, KeyframeReason::Loss);
                    }
                    return Err(DropReason::NackOld);
                }
                let choice = slot.choose(packet.track, codec);
                (choice.and_then(|choice| choice.rtx), payload.len())
            }
        };
        let payload_type = payload_type.ok_or(DropReason::NackMiss)?;
        // Now, so that the next one finds what is left.
        receive.rtx_budget.spend(payload_bytes);
        let outgoing = Outgoing {
            slot: u16::try_from(at).expect("slots are capped far below 65536"),
            packet,
            payload_type,
            unwrap_red: false,
            kind: OutgoingKind::Retransmission,
        };
        Ok(Again { outgoing, payload_bytes, times })
    }

    /// Queues it; a copy only if the budget has room for one.
    fn send_again(
        &mut self,
        now: Instant,
        id: PeerId,
        again: &Again,
        is_copy: bool,
    ) -> Result<(), DropReason> {
        let peer = &mut self.peers[id];
        let receive = &mut peer.receive;
        if is_copy {
            if !receive.rtx_budget.allows_a_packet() {
                return Ok(());
            }
            receive.rtx_budget.spend(again.payload_bytes);
        }
        let bytes = again.payload_bytes + PACKET_OVERHEAD;
        let pushed = receive.pacer.push(now, Class::Retransmission, bytes, again.outgoing);
        pushed.map_err(|_| DropReason::EgressFull)?;
        if !is_copy {
            peer.stats.rtx_out += 1;
            self.stats.rtx_out += 1;
        }
        Ok(())
    }
}

impl ReceiveState {
    /// How often a packet is sent that is asked for together with others.
    fn copies(&self, now: Instant, together: usize) -> u8 {
        if !self.is_lossy(now) {
            return 1;
        }
        copies::at_first_request(self.bandwidth.estimate().loss, together)
    }
}

/// How long the answer to a request takes at present. Reports tell once a second; a queue grows
/// faster, and fills with repetitions if it is not reckoned with.
fn round_trip(reported: Duration, path: &SendSide) -> Duration {
    let queued = path.queue_delay() + reported.min(REPORTED_MAX);
    reported.max(path.estimate().rtt.unwrap_or_default()).max(queued)
}

/// Of a longer round trip that was reported, a part is the queue.
const REPORTED_MAX: Duration = Duration::from_millis(100);

/// The published packet behind a sent one: its codec, and its payload.
fn original<'a>(
    track: &'a Track,
    packet: &SentPacket,
) -> Option<(&'a CodecParameters, &'a Stored, &'a [u8])> {
    let encoding = track.encodings.get(usize::from(packet.encoding))?;
    let encoding = Some(encoding).filter(|encoding| encoding.epoch == packet.epoch)?;
    let (stored, payload) = encoding.history.get(packet.source_index)?;
    Some((track.codec(stored.payload_type)?, stored, payload))
}
