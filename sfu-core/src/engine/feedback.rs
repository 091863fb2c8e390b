//! RTCP from a peer: about what it publishes, and about what it receives. It ends here; nothing
//! is relayed.

use std::time::{Duration, Instant};

use super::build::PACKET_OVERHEAD;
use super::peer::{Outgoing, OutgoingKind};
use super::{Engine, leave};
use crate::bandwidth::SendSide;
use crate::decision::{KeyframeReason, What};
use crate::deliver::pacer::Class;
use crate::deliver::sent::SentPacket;
use crate::deliver::slot::ntp_to_duration;
use crate::drops::DropReason;
use crate::forward::munge::Edit;
use crate::forward::selector::Worth;
use crate::id::{PeerId, Ssrc, SubscriptionId};
use crate::negotiation::CodecParameters;
use crate::publish::track::Track;
use crate::rtp::rtcp::{self, ReportBlock, Rtcp};

impl Engine {
    pub(super) fn receive_rtcp(
        &mut self,
        now: Instant,
        id: PeerId,
        data: &[u8],
    ) -> Result<(), DropReason> {
        self.touch(id);
        rtcp::parse(data, &mut |message| self.receive_rtcp_message(now, id, message))
    }

    fn receive_rtcp_message(&mut self, now: Instant, id: PeerId, message: Rtcp<'_>) {
        match message {
            Rtcp::SenderReport { ssrc, ntp, rtp_time } => {
                self.receive_sender_report(now, id, ssrc, ntp, rtp_time);
            }
            Rtcp::ReceiverReport(block) => self.receive_report_block(now, id, &block),
            Rtcp::Nack { media_ssrc, sequences } => {
                for sequence in sequences {
                    self.stats.nacks_in += 1;
                    if let Err(reason) = self.retransmit(now, id, media_ssrc, sequence) {
                        self.count(reason);
                    }
                }
                self.mark_dirty(id);
            }
            Rtcp::Pli { media_ssrc } | Rtcp::Fir { media_ssrc } => {
                self.stats.keyframe_requests_in += 1;
                let slot = self.peers[id].receive.slot_by_ssrc(media_ssrc);
                if let Some(subscription) = slot.and_then(|slot| slot.subscription) {
                    self.request_keyframe(now, subscription, KeyframeReason::Subscriber);
                }
            }
            Rtcp::Twcc(block) => {
                self.receive_path_feedback(now, id, |path| path.on_twcc(now, block))
            }
            Rtcp::Ccfb(block) => {
                self.receive_path_feedback(now, id, |path| path.on_ccfb(now, block))
            }
            Rtcp::Remb { bitrate_bps } => self.receive_path_feedback(now, id, |path| {
                path.on_remb(now, bitrate_bps);
                Ok(())
            }),
            // A source says goodbye when its m-line is renegotiated, which is what counts.
            Rtcp::Bye { .. } | Rtcp::Other => {}
        }
    }

    fn receive_sender_report(
        &mut self,
        now: Instant,
        id: PeerId,
        ssrc: Ssrc,
        ntp: u64,
        rtp_time: u32,
    ) {
        let ours = self.ntp(now);
        let publish = &mut self.peers[id].publish;
        let Some(route) = publish.route(ssrc).filter(|route| !route.rtx) else { return };
        publish.clock.note(ntp, ours);
        let encoding = &mut self.tracks[route.track].encodings[usize::from(route.encoding)];
        encoding.statistics.on_sender_report(now, ntp);
        encoding.clock.on_report(ntp, rtp_time);
        encoding.sender_report = Some((ntp, rtp_time));
        self.relay_report(route.track, route.encoding);
    }

    /// What the subscriber says of the path to it.
    fn receive_path_feedback(
        &mut self,
        now: Instant,
        id: PeerId,
        read: impl FnOnce(&mut SendSide) -> Result<(), DropReason>,
    ) {
        match read(&mut self.peers[id].receive.bandwidth) {
            Ok(()) => self.estimate_moved(now, id),
            Err(reason) => self.count(reason),
        }
    }

    fn receive_report_block(&mut self, now: Instant, id: PeerId, block: &ReportBlock) {
        let ntp = self.ntp(now);
        let receive = &mut self.peers[id].receive;
        let Some(slot) = receive.slot_by_ssrc(block.ssrc) else { return };
        // RFC 3550 §6.4.1: round trip = now - LSR - DLSR, in 1/65536 s.
        let known = slot.reports.contains(block.last_sender_report);
        let rtt = known.then(|| {
            let middle = (ntp >> 16) as u32;
            let units = middle
                .wrapping_sub(block.last_sender_report)
                .wrapping_sub(block.delay_since_last_sender_report);
            ntp_to_duration(u64::from(units) << 16)
        });
        let rtt = rtt.filter(|&rtt| rtt < Duration::from_secs(10));
        receive.rtt = rtt.or(receive.rtt);
        let stats = &mut self.peers[id].stats;
        stats.fraction_lost = block.fraction_lost;
        if let Some(rtt) = rtt {
            stats.rtt_ms = u32::try_from(rtt.as_millis()).ok();
        }
    }

    /// Queues one packet again, by the subscriber's RTX stream. Without RTX there is no answer:
    /// the same SRTP index must never protect two different packets (RFC 3711 §9.1).
    ///
    /// What nobody needs any more is answered by an empty packet if it is of the encoding that is
    /// forwarded: layers say of themselves what they build on. If it is of another one, there is no
    /// answer: receivers of a codec without layers go by sequence numbers, and would take what comes
    /// behind an empty packet for decodable; the keyframe behind it ends their waiting.
    fn retransmit(
        &mut self,
        now: Instant,
        id: PeerId,
        ssrc: Ssrc,
        sequence: u16,
    ) -> Result<(), DropReason> {
        let Self { peers, tracks, subscriptions, stats, .. } = self;
        let peer = &mut peers[id];
        let receive = &mut peer.receive;
        let at = receive.slots.iter().position(|slot| slot.send.ssrc == ssrc);
        let at = at.ok_or(DropReason::NackMiss)?;
        let slot = &mut receive.slots[at];
        // Asked first: a refusal must not count as a try, nor hold up the next one.
        if !receive.rtx_budget.allows_a_packet() {
            return Err(DropReason::RtxBudget);
        }
        let rtt = receive.rtt.map(|rtt| round_trip(rtt, &receive.bandwidth));
        let mut packet = slot.sent.recall(now, sequence, rtt)?;
        let track = tracks.get(packet.track).ok_or(DropReason::NackMiss)?;
        if let Some(id) = slot.subscription
            && let Some(subscription) = subscriptions.get(id)
        {
            match leave::worth(track, subscription, &packet) {
                Worth::Needed => {}
                // Cheaper than to repair what is not shown any more.
                Worth::Left if leave::is_lowest(subscription) => {
                    self.request_keyframe(now, id, KeyframeReason::Loss);
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
                let (codec, bytes) = original(track, &packet).ok_or(DropReason::NackMiss)?;
                let choice = slot.choose(packet.track, codec);
                (choice.and_then(|choice| choice.rtx), bytes)
            }
        };
        let payload_type = payload_type.ok_or(DropReason::NackMiss)?;
        receive.rtx_budget.spend(payload_bytes);
        let outgoing = Outgoing {
            slot: u16::try_from(at).expect("slots are capped far below 65536"),
            packet,
            payload_type,
            unwrap_red: false,
            kind: OutgoingKind::Retransmission,
        };
        let bytes = payload_bytes + PACKET_OVERHEAD;
        let pushed = receive.pacer.push(now, Class::Retransmission, bytes, outgoing);
        pushed.map_err(|_| DropReason::EgressFull)?;
        // Under steady loss a second request would come too late: a copy goes along.
        if receive.is_lossy(now) && receive.rtx_budget.allows_a_packet() {
            receive.rtx_budget.spend(payload_bytes);
            let copied = receive.pacer.push(now, Class::Retransmission, bytes, outgoing);
            copied.map_err(|_| DropReason::EgressFull)?;
        }
        peer.stats.rtx_out += 1;
        stats.rtx_out += 1;
        Ok(())
    }

    /// Asks the publisher for a keyframe on behalf of a subscription: of the encoding it aims at,
    /// or, if it has that, of the one it has.
    pub(super) fn request_keyframe(
        &mut self,
        now: Instant,
        id: SubscriptionId,
        why: KeyframeReason,
    ) {
        let age = self.age(now);
        let Self { peers, tracks, subscriptions, .. } = self;
        let Some(subscription) = subscriptions.get(id) else { return };
        let track = &mut tracks[subscription.track];
        let Some(target) = subscription.selector.target() else { return };
        let Some(encoding) = track.encodings.get_mut(usize::from(target.encoding)) else { return };
        encoding.keyframes.request(now, subscription.peer);
        let what =
            What::KeyframeRequested { track: subscription.track, encoding: target.encoding, why };
        peers[subscription.peer].receive.quality.recorder_mut().note(age, what);
        let track = subscription.track;
        self.touch_source(track);
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

/// The codec of the published packet behind a sent one, and the bytes of its payload.
fn original<'a>(track: &'a Track, packet: &SentPacket) -> Option<(&'a CodecParameters, usize)> {
    let encoding = track.encodings.get(usize::from(packet.encoding))?;
    let encoding = Some(encoding).filter(|encoding| encoding.epoch == packet.epoch)?;
    let (stored, payload) = encoding.history.get(packet.source_index)?;
    Some((track.codec(stored.payload_type)?, payload.len()))
}
