//! The far end of a media flow: feedback as real RTCP, requests for what is missing, and frames.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use interceptor::CcFeedbackRecorder;
use rtcp::transport_feedbacks::cc_feedback_report::Ecn;
use sfu_core::id::Ssrc;
use sfu_core::publish::twcc::TwccRecorder;
use shared::marshal::Marshal;

use super::flow::{Body, Class, MediaPacket, Outbox, Packet, Piece, Shown};

/// IP, UDP and the tag of SRTCP.
const OVERHEAD_BYTES: u32 = 28 + 14;
/// SSRC of the receiver.
const OWN_SSRC: u32 = 1;
/// A receiver asks again after a round trip and this.
const NACK_SLACK: Duration = Duration::from_millis(10);
/// … and this often at most.
const NACK_TRIES_MAX: u32 = 10;
/// A receiver that could decode nothing for this long asks for a key frame.
pub(crate) const KEYFRAME_PATIENCE: Duration = Duration::from_millis(500);
/// Longest RFC 8888 report.
const CCFB_BYTES_MAX: usize = 1200;

/// Which feedback is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// draft-holmer-rmcat-transport-wide-cc-extensions-01.
    Twcc,
    /// RFC 8888.
    Ccfb,
}

/// How a receiver behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiverConfig {
    /// Which feedback it sends.
    pub format: Format,
    /// How often.
    pub interval: Duration,
    /// The round trip without queues; requests are repeated no faster.
    pub rtt: Duration,
    /// What its clock showed at the start. Only differences should matter to a sender.
    pub clock: Duration,
}

/// The receiver of a media flow.
#[derive(Debug)]
pub struct Receiver {
    config: ReceiverConfig,
    epoch: Instant,
    twcc: TwccRecorder,
    ccfb: CcFeedbackRecorder,
    due: Option<Duration>,
    missing: BTreeMap<u64, Missing>,
    next_sequence: u64,
    /// How long the answer to a request takes.
    answer_time: Duration,
    frames: Frames,
    waits_since: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    tries: u32,
    asked_at: Duration,
    again_at: Duration,
}

impl Receiver {
    /// A receiver whose clock is `epoch` at virtual time zero.
    #[must_use]
    pub fn new(config: ReceiverConfig, epoch: Instant) -> Self {
        Self {
            epoch: epoch + config.clock,
            config,
            twcc: TwccRecorder::default(),
            ccfb: CcFeedbackRecorder::new(),
            due: None,
            missing: BTreeMap::new(),
            next_sequence: 0,
            answer_time: config.rtt,
            frames: Frames::default(),
            waits_since: None,
        }
    }

    /// When it wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let again = self.missing.values().map(|missing| missing.again_at).min();
        let patience = self.waits_since.map(|since| since + KEYFRAME_PATIENCE);
        [self.due, again, patience].into_iter().flatten().min()
    }

    /// Whether this piece has neither arrived nor become useless.
    #[must_use]
    pub fn is_new(&self, piece: Piece) -> bool {
        piece.sequence >= self.next_sequence || self.missing.contains_key(&piece.sequence)
    }

    /// A packet has arrived.
    pub fn handle_packet(&mut self, now: Duration, packet: MediaPacket, out: &mut Outbox) {
        let at = self.epoch + now;
        match self.config.format {
            Format::Twcc => self.twcc.on_packet(at, packet.transport_sequence),
            Format::Ccfb => {
                self.ccfb.add_packet(at, packet.ssrc, packet.rtp_sequence, Ecn::NotEct);
            }
        }
        self.due.get_or_insert(now + self.config.interval);
        let Some(piece) = packet.media else { return };
        for sequence in self.next_sequence..piece.sequence {
            self.missing.insert(sequence, Missing { tries: 0, asked_at: now, again_at: now });
        }
        self.next_sequence = self.next_sequence.max(piece.sequence + 1);
        if let Some(missing) = self.missing.remove(&piece.sequence)
            && missing.tries == 1
        {
            // Queues make answers take longer than the path alone does.
            let took = now - missing.asked_at;
            self.answer_time = (self.answer_time * 7 + took) / 8;
        }
        if let Some(first_needed) = self.frames.insert(piece, &mut out.frames) {
            self.missing = self.missing.split_off(&first_needed);
        }
        self.waits_since = self
            .frames
            .is_stuck()
            .then(|| self.waits_since.filter(|_| out.frames.is_empty()))
            .map(|since| since.unwrap_or(now));
    }

    /// Sends what is due.
    pub fn handle_timeout(&mut self, now: Duration, out: &mut Outbox) {
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            self.feedback(now, out);
        }
        let mut wanted = Vec::new();
        self.missing.retain(|&sequence, missing| {
            if missing.again_at <= now {
                wanted.push(sequence);
                missing.tries += 1;
                missing.asked_at = now;
                missing.again_at = now + self.answer_time.max(self.config.rtt) + NACK_SLACK;
            }
            missing.tries <= NACK_TRIES_MAX
        });
        if !wanted.is_empty() {
            #[allow(clippy::cast_possible_truncation, reason = "a few hundred at most")]
            let bytes = OVERHEAD_BYTES + 12 + 4 * wanted.len() as u32;
            out.back.push(Packet { bytes, class: Class::Control, body: Body::Nack(wanted) });
        }
        if self.waits_since.is_some_and(|since| since + KEYFRAME_PATIENCE <= now) {
            self.waits_since = Some(now);
            let body = Body::KeyframeRequest;
            out.back.push(Packet { bytes: OVERHEAD_BYTES + 12, class: Class::Control, body });
        }
    }

    fn feedback(&mut self, now: Duration, out: &mut Outbox) {
        let at = self.epoch + now;
        let mut push = |bytes: Vec<u8>| {
            #[allow(clippy::cast_possible_truncation, reason = "shorter than an MTU")]
            let size = OVERHEAD_BYTES + bytes.len() as u32;
            let body = Body::Feedback(bytes);
            out.back.push(Packet { bytes: size, class: Class::Control, body });
        };
        match self.config.format {
            Format::Twcc => loop {
                let mut bytes = Vec::new();
                if !self.twcc.build(at, Ssrc(OWN_SSRC), Ssrc(super::media::MEDIA_SSRC), &mut bytes)
                {
                    break;
                }
                push(bytes);
            },
            Format::Ccfb => {
                if self.ccfb.is_empty() {
                    return;
                }
                // The middle 32 bits of an NTP timestamp (RFC 8888 §3.1).
                let ntp = (now + self.config.clock).as_nanos() * 65_536 / 1_000_000_000;
                #[allow(clippy::cast_possible_truncation, reason = "it wraps")]
                let report = self.ccfb.build_report(at, OWN_SSRC, ntp as u32, CCFB_BYTES_MAX);
                push(report.marshal().expect("a report within its limits can be written").to_vec());
            }
        }
    }
}

/// Which frames are complete, and which can be decoded: each needs the one before it, a key frame
/// needs none.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// Incomplete or waiting for others, by number.
    pending: BTreeMap<u64, Pending>,
    /// The first not yet decoded.
    next: u64,
}

#[derive(Debug)]
struct Pending {
    piece: Piece,
    received: Vec<bool>,
    left: u32,
}

impl Frames {
    /// Takes a piece. Gives the first packet that is still of use if something became decodable.
    pub(crate) fn insert(&mut self, piece: Piece, shown: &mut Vec<Shown>) -> Option<u64> {
        if piece.frame < self.next {
            return None;
        }
        let pending = self.pending.entry(piece.frame).or_insert_with(|| Pending {
            piece,
            received: vec![false; piece.count as usize],
            left: piece.count,
        });
        let place = usize::try_from(piece.sequence - piece.first).ok()?;
        if !std::mem::replace(&mut pending.received[place], true) {
            pending.left -= 1;
        }
        if pending.left > 0 {
            return None;
        }
        if piece.key {
            self.next = piece.frame;
            self.pending = self.pending.split_off(&piece.frame);
        }
        let mut behind = None;
        while let Some(entry) = self.pending.first_entry()
            && *entry.key() == self.next
            && entry.get().left == 0
        {
            let Pending { piece, .. } = entry.remove();
            shown.push(Shown { frame: piece.frame, captured: piece.captured });
            self.next += 1;
            behind = Some(piece.first + u64::from(piece.count));
        }
        behind
    }

    /// Whether something has come that cannot be decoded yet.
    pub(crate) fn is_stuck(&self) -> bool {
        !self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use rtcp::transport_feedbacks::cc_feedback_report::CcFeedbackReport;
    use rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
    use shared::marshal::Unmarshal;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn receiver(format: Format) -> Receiver {
        let config =
            ReceiverConfig { format, interval: ms(50), rtt: ms(100), clock: ms(123_456_789) };
        Receiver::new(config, Instant::now())
    }

    /// The piece with this sequence number of a media with two packets a frame.
    fn packet(sequence: u64, key: bool) -> MediaPacket {
        let first = sequence / 2 * 2;
        let captured = ms(33) * u32::try_from(first / 2).expect("small numbers");
        let piece = Piece { sequence, frame: sequence / 2, captured, first, count: 2, key };
        #[allow(clippy::cast_possible_truncation, reason = "small numbers")]
        let transport_sequence = sequence as u16;
        MediaPacket {
            transport_sequence,
            ssrc: super::super::media::MEDIA_SSRC,
            rtp_sequence: transport_sequence,
            media: Some(piece),
        }
    }

    fn feedback(receiver: &mut Receiver, now: Duration) -> Vec<u8> {
        let mut out = Outbox::default();
        receiver.handle_timeout(now, &mut out);
        let found = out.back.into_iter().find_map(|packet| match packet.body {
            Body::Feedback(bytes) => Some(bytes),
            _ => None,
        });
        found.expect("feedback is due")
    }

    #[test]
    fn transport_wide_feedback_says_what_arrived() {
        let mut receiver = receiver(Format::Twcc);
        for sequence in [0, 1, 3] {
            receiver.handle_packet(ms(sequence), packet(sequence, true), &mut Outbox::default());
        }
        assert_eq!(receiver.due, Some(ms(50)));
        let bytes = feedback(&mut receiver, ms(50));
        let parsed = TransportLayerCc::unmarshal(&mut &bytes[..]).expect("well-formed");
        assert_eq!((parsed.base_sequence_number, parsed.packet_status_count), (0, 4));
        assert_eq!(parsed.recv_deltas.len(), 3);
        let arrived: Vec<_> = interceptor::convert_twcc(&parsed)
            .iter()
            .map(|acknowledgement| acknowledgement.arrived)
            // The crate's decoder also counts the rest of the last chunk.
            .take(4)
            .collect();
        assert_eq!(arrived, [true, true, false, true]);
    }

    #[test]
    fn rfc_8888_feedback_says_the_same() {
        let mut receiver = receiver(Format::Ccfb);
        for sequence in [0, 1, 3] {
            receiver.handle_packet(ms(sequence), packet(sequence, true), &mut Outbox::default());
        }
        let bytes = feedback(&mut receiver, ms(50));
        let parsed = CcFeedbackReport::unmarshal(&mut &bytes[..]).expect("well-formed");
        let block = &parsed.report_blocks[0];
        assert_eq!((block.media_ssrc, block.begin_sequence), (super::super::media::MEDIA_SSRC, 0));
        let received: Vec<_> = block.metric_blocks.iter().map(|metric| metric.received).collect();
        assert_eq!(received, [true, true, false, true]);
    }

    #[test]
    fn what_is_missing_is_asked_for_at_once_and_again_after_a_round_trip() {
        let mut receiver = receiver(Format::Twcc);
        let mut asked = Vec::new();
        receiver.handle_packet(ms(0), packet(0, true), &mut Outbox::default());
        receiver.handle_packet(ms(5), packet(3, false), &mut Outbox::default());
        while let Some(due) = receiver.poll_timeout().filter(|due| *due < ms(300)) {
            let mut out = Outbox::default();
            receiver.handle_timeout(due.max(ms(5)), &mut out);
            for sent in out.back {
                if let Body::Nack(sequences) = sent.body {
                    asked.push((due, sequences));
                }
            }
        }
        assert_eq!(asked, [(ms(5), vec![1, 2]), (ms(115), vec![1, 2]), (ms(225), vec![1, 2])]);
        receiver.handle_packet(ms(300), packet(1, true), &mut Outbox::default());
        receiver.handle_packet(ms(300), packet(2, false), &mut Outbox::default());
        assert!(receiver.missing.is_empty());
    }

    #[test]
    fn a_frame_is_shown_when_it_and_all_before_it_are_complete_or_from_a_key_frame_on() {
        let mut receiver = receiver(Format::Twcc);
        let mut shown = |sequence, key| {
            let mut out = Outbox::default();
            receiver.handle_packet(ms(sequence), packet(sequence, key), &mut out);
            out.frames.iter().map(|shown| shown.frame).collect::<Vec<_>>()
        };
        assert_eq!((shown(0, true), shown(1, true)), (vec![], vec![0]));
        // Frame 1 misses a packet, frame 2 waits for it.
        assert_eq!((shown(2, false), shown(4, false), shown(5, false)), (vec![], vec![], vec![]));
        assert_eq!(shown(3, false), [1, 2]);
        // Frame 3 is never completed; frame 4 is a key frame.
        assert_eq!((shown(6, false), shown(8, true), shown(9, true)), (vec![], vec![], vec![4]));
        assert!(receiver.missing.is_empty(), "nobody needs packet 7 any more");
    }

    #[test]
    fn a_receiver_that_is_stuck_asks_for_a_key_frame() {
        let mut receiver = receiver(Format::Twcc);
        for sequence in [0, 1, 2, 4, 5] {
            receiver.handle_packet(ms(0), packet(sequence, false), &mut Outbox::default());
        }
        let mut out = Outbox::default();
        receiver.handle_timeout(ms(499), &mut out);
        assert!(!out.back.iter().any(|sent| matches!(sent.body, Body::KeyframeRequest)));
        receiver.handle_timeout(ms(500), &mut out);
        assert!(out.back.iter().any(|sent| matches!(sent.body, Body::KeyframeRequest)));
    }
}
