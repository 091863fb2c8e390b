//! [`Tap`]: an interceptor at the wire end of the `webrtc` crate's chain. It enters every decrypted
//! packet into the [`Ledger`] and unpacks retransmissions there. The crate itself unpacks them
//! behind its NACK generator, which therefore asks for a recovered packet again and again; with the
//! tap in front it sees the hole filled.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rtc::interceptor::{Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

use super::peer::URI_MID;
use crate::account::{Arrival, Ledger, Via};
use crate::media::wall_clock_us;

/// Where the tap sits: before every interceptor of the crate.
pub(crate) const TAP_SLOT: usize = 500;
/// Where received media ends: behind every interceptor, before the queues of the application.
pub(crate) const SINK_SLOT: usize = 15_000;

/// What passed one peer's tap, beside media.
#[derive(Debug, Default)]
pub struct TapCounters {
    /// RTP packets decrypted, of any kind.
    pub rtp: AtomicU64,
    /// RTCP packets (compounds) decrypted.
    pub rtcp: AtomicU64,
    /// Picture loss indications and full intra requests received.
    pub keyframe_requests: AtomicU64,
    /// Sequence numbers the other side asked for.
    pub nacked_by_remote: AtomicU64,
    /// Sequence numbers asked of the other side.
    pub nacked_by_us: AtomicU64,
    /// Receiver report blocks received.
    pub receiver_reports: AtomicU64,
    /// Sender reports received.
    pub sender_reports: AtomicU64,
    /// Transport-wide feedback messages received.
    pub transport_feedback: AtomicU64,
    /// Packets thrown away on purpose.
    pub dropped: AtomicU64,
}

/// One peer's tap, as seen from outside.
#[derive(Debug, Default)]
pub struct TapState {
    /// Counters.
    pub counters: TapCounters,
    ledger: Mutex<Ledger>,
    drop_one_in: AtomicU32,
    drop_sent_one_in: AtomicU32,
}

impl TapState {
    /// The account of received media.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // A test that panicked while reading spoils nothing.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on throws away each `n`th video packet before anything else sees it, as a lossy
    /// network would; 0 ends it. Never a retransmission, and never audio, which nobody repairs.
    pub fn drop_one_in(&self, n: u32) {
        self.drop_one_in.store(n, Ordering::Relaxed);
    }

    /// As [`TapState::drop_one_in`], of all media that is sent, after it was kept for retransmission.
    pub fn drop_sent_one_in(&self, n: u32) {
        self.drop_sent_one_in.store(n, Ordering::Relaxed);
    }
}

/// Counts to `n` again and again; true once a time, never if `n` is 0.
#[derive(Debug, Default)]
struct OneIn(u32);

impl OneIn {
    fn hit(&mut self, n: &AtomicU32) -> bool {
        let n = n.load(Ordering::Relaxed);
        if n == 0 {
            return false;
        }
        self.0 = self.0.wrapping_add(1);
        self.0.is_multiple_of(n)
    }
}

#[derive(Clone, Copy, Debug)]
struct Repairs {
    ssrc: u32,
    payload_type: u8,
}

/// See the module.
pub(crate) struct Tap {
    state: Arc<TapState>,
    /// By RTX SSRC: what it repairs.
    repairs_by_ssrc: HashMap<u32, Repairs>,
    /// By media SSRC: whether it is video.
    video_by_ssrc: HashMap<u32, bool>,
    /// By SSRC of ours.
    local_media: HashSet<u32>,
    /// The id of the MID header extension (RFC 9143 §14), once an m-line has it.
    mid_extension: Option<u8>,
    received_count: OneIn,
    sent_count: OneIn,
    inbox: VecDeque<TaggedPacket>,
    outbox: VecDeque<TaggedPacket>,
}

impl Tap {
    pub(crate) fn new(state: Arc<TapState>) -> Self {
        Self {
            state,
            repairs_by_ssrc: HashMap::new(),
            video_by_ssrc: HashMap::new(),
            local_media: HashSet::new(),
            mid_extension: None,
            received_count: OneIn::default(),
            sent_count: OneIn::default(),
            inbox: VecDeque::new(),
            outbox: VecDeque::new(),
        }
    }

    /// Accounts for one packet; false if it goes no further.
    fn received(&mut self, packet: &mut rtc::rtp::Packet) -> bool {
        self.state.counters.rtp.fetch_add(1, Ordering::Relaxed);
        let via = match self.repairs_by_ssrc.get(&packet.header.ssrc) {
            None => Via::Media,
            Some(repairs) => {
                if packet.payload.len() < 2 {
                    return false;
                }
                let original = packet.payload.split_to(2);
                packet.header.ssrc = repairs.ssrc;
                packet.header.payload_type = repairs.payload_type;
                packet.header.sequence_number = u16::from_be_bytes([original[0], original[1]]);
                Via::Rtx
            }
        };
        let video = self.video_by_ssrc.get(&packet.header.ssrc).copied().unwrap_or(false);
        if video && via == Via::Media && self.received_count.hit(&self.state.drop_one_in) {
            self.state.counters.dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let mid = self.mid_extension.and_then(|id| packet.header.get_extension(id));
        self.state.ledger().arrival(Arrival {
            packet,
            via,
            video,
            mid: mid.as_deref(),
            at: Instant::now(),
            at_us: wall_clock_us(),
        });
        true
    }

    fn received_rtcp(&self, packets: &[Box<dyn rtc::rtcp::Packet>]) {
        let counters = &self.state.counters;
        let count = |counter: &AtomicU64, n: usize| counter.fetch_add(n as u64, Ordering::Relaxed);
        count(&counters.rtcp, 1);
        for packet in packets {
            let packet = packet.as_any();
            if packet.is::<PictureLossIndication>() || packet.is::<FullIntraRequest>() {
                count(&counters.keyframe_requests, 1);
            } else if let Some(nack) = packet.downcast_ref::<TransportLayerNack>() {
                count(&counters.nacked_by_remote, nacked(nack));
            } else if let Some(report) = packet.downcast_ref::<ReceiverReport>() {
                count(&counters.receiver_reports, report.reports.len());
            } else if packet.is::<SenderReport>() {
                count(&counters.sender_reports, 1);
            } else if packet.is::<TransportLayerCc>() {
                count(&counters.transport_feedback, 1);
            }
        }
    }
}

fn nacked(nack: &TransportLayerNack) -> usize {
    nack.nacks.iter().map(|pair| 1 + pair.lost_packets.count_ones() as usize).sum()
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Tap {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, mut message: TaggedPacket) -> Result<(), Error> {
        let passes = match &mut message.message.packet {
            Packet::Rtp(packet) => self.received(packet),
            Packet::Rtcp(packets) => {
                self.received_rtcp(packets);
                true
            }
            _ => true,
        };
        if passes {
            self.inbox.push_back(message);
        }
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.inbox.pop_front()
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtp(packet) = &message.message.packet
            && self.local_media.contains(&packet.header.ssrc)
            && self.sent_count.hit(&self.state.drop_sent_one_in)
        {
            self.state.counters.dropped.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        if let Packet::Rtcp(packets) = &message.message.packet {
            let asked: usize = packets
                .iter()
                .filter_map(|packet| packet.as_any().downcast_ref::<TransportLayerNack>())
                .map(nacked)
                .sum();
            self.state.counters.nacked_by_us.fetch_add(asked as u64, Ordering::Relaxed);
        }
        self.outbox.push_back(message);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.outbox.pop_front()
    }
}

impl Interceptor for Tap {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        self.local_media.insert(info.ssrc);
    }

    fn unbind_local_stream(&mut self, info: &StreamInfo) {
        self.local_media.remove(&info.ssrc);
    }

    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        // The repair flow is also bound in its own right, without an association.
        if self.repairs_by_ssrc.contains_key(&info.ssrc) {
            return;
        }
        let mut extensions = info.rtp_header_extensions.iter();
        if let Some(mid) = extensions.find(|extension| extension.uri == URI_MID) {
            self.mid_extension = u8::try_from(mid.id).ok();
        }
        self.video_by_ssrc.insert(info.ssrc, info.mime_type.starts_with("video/"));
        if let Some(rtx) = info.ssrc_rtx {
            let repairs = Repairs { ssrc: info.ssrc, payload_type: info.payload_type };
            self.repairs_by_ssrc.insert(rtx, repairs);
        }
    }

    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        self.video_by_ssrc.remove(&info.ssrc);
        self.repairs_by_ssrc.remove(&info.ssrc);
    }
}

/// Ends the way of received media, which is accounted for by then: the crate's own queue to the
/// application holds 256 packets and drops what does not fit.
#[derive(Default)]
pub(crate) struct Sink {
    inbox: VecDeque<TaggedPacket>,
    outbox: VecDeque<TaggedPacket>,
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Sink {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Error> {
        if !matches!(message.message.packet, Packet::Rtp(_)) {
            self.inbox.push_back(message);
        }
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.inbox.pop_front()
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Error> {
        self.outbox.push_back(message);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.outbox.pop_front()
    }
}

impl Interceptor for Sink {
    fn bind_local_stream(&mut self, _info: &StreamInfo) {}

    fn unbind_local_stream(&mut self, _info: &StreamInfo) {}

    fn bind_remote_stream(&mut self, _info: &StreamInfo) {}

    fn unbind_remote_stream(&mut self, _info: &StreamInfo) {}
}
