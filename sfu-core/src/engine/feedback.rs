//! RTCP from a peer: about what it publishes, and about what it receives. It ends here; nothing
//! is relayed.

use std::time::{Duration, Instant};

use super::Engine;
use crate::bandwidth::SendSide;
use crate::decision::{KeyframeReason, What};
use crate::deliver::slot::ntp_to_duration;
use crate::drops::DropReason;
use crate::id::{PeerId, Ssrc, SubscriptionId};
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
                self.stats.nacks_in += sequences.clone().count() as u64;
                self.repair(now, id, media_ssrc, sequences);
            }
            Rtcp::Pli { media_ssrc } | Rtcp::Fir { media_ssrc } => {
                self.stats.keyframe_requests_in += 1;
                self.stats.firs_in += u64::from(matches!(message, Rtcp::Fir { .. }));
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
            Ok(()) => {
                self.estimate_moved(now, id);
                self.repair_lost_again(now, id);
            }
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
