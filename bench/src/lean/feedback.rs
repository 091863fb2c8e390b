//! [`Feedback`]: the reports of one receiver. They are read from the clear headers of what it gets,
//! so that nothing needs to be decrypted for them.

use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::BytesMut;
use sfu_core::id::Ssrc;
use sfu_core::publish::twcc::TwccRecorder;
use sfu_core::rtp::packet::RtpPacket;
use sfu_core::rtp::rtcp::{ReportBlock, write_nack, write_receiver_report};
use srtp::context::Context;

/// The id of the transport-wide number in the offers.
const TRANSPORT_CC: u8 = 3;
/// Interval of receiver reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// The SSRC that reports come from.
const OWN_SSRC: Ssrc = Ssrc(7);

/// What is reported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FeedbackPlan {
    /// Transport-wide feedback, each 50 ms or so.
    pub(crate) transport_cc: bool,
    /// Receiver reports, each second.
    pub(crate) reports: bool,
    /// Asks for one packet in so many again, as if it had been lost.
    pub(crate) nack_one_in: Option<u16>,
}

pub(crate) struct Feedback {
    plan: FeedbackPlan,
    seal: Context,
    arrivals: TwccRecorder,
    /// The first media SSRC seen: retransmissions have another.
    media: Option<Ssrc>,
    highest: u16,
    cycles: u32,
    missed: Vec<u16>,
    report_at: Option<Instant>,
}

impl Feedback {
    pub(crate) fn new(plan: FeedbackPlan, seal: Context) -> Self {
        Self {
            plan,
            seal,
            arrivals: TwccRecorder::default(),
            media: None,
            highest: 0,
            cycles: 0,
            missed: Vec::new(),
            report_at: None,
        }
    }

    /// Notes a received packet; true if it is of the media itself, no retransmission or padding.
    pub(crate) fn on_packet(&mut self, now: Instant, packet: &RtpPacket<'_>) -> bool {
        if self.plan.transport_cc
            && let Some(number) = packet.extension(TRANSPORT_CC).and_then(|v| v.first_chunk())
        {
            self.arrivals.on_packet(now, u16::from_be_bytes(*number));
        }
        let sequence = packet.sequence();
        let media = *self.media.get_or_insert_with(|| {
            self.highest = sequence;
            packet.ssrc()
        });
        if packet.ssrc() != media {
            return false;
        }
        if sequence.wrapping_sub(self.highest) < 0x8000 {
            self.cycles += u32::from(sequence < self.highest);
            self.highest = sequence;
        }
        if self.plan.nack_one_in.is_some_and(|n| sequence.is_multiple_of(n)) {
            self.missed.push(sequence);
        }
        self.report_at.get_or_insert(now + REPORT_INTERVAL);
        true
    }

    /// Whether [`Self::poll`] has something.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.arrivals.is_due(now)
            || !self.missed.is_empty()
            || self.plan.reports && self.report_at.is_some_and(|at| at <= now)
    }

    /// Gives each sealed report that is due to `send`.
    pub(crate) fn poll(&mut self, now: Instant, mut send: impl FnMut(BytesMut)) -> Result<()> {
        let Some(media) = self.media else { return Ok(()) };
        let mut plain = Vec::new();
        if self.arrivals.is_due(now) {
            while self.arrivals.build(now, OWN_SSRC, media, &mut plain) {
                send(self.seal.encrypt_rtcp(&plain)?);
                plain.clear();
            }
        }
        if !self.missed.is_empty() {
            write_nack(&mut plain, OWN_SSRC, media, &self.missed);
            self.missed.clear();
            send(self.seal.encrypt_rtcp(&plain)?);
            plain.clear();
        }
        if self.plan.reports && self.report_at.is_some_and(|at| at <= now) {
            self.report_at = Some(now + REPORT_INTERVAL);
            let block = ReportBlock {
                ssrc: media,
                fraction_lost: 0,
                cumulative_lost: 0,
                highest_sequence: self.cycles << 16 | u32::from(self.highest),
                jitter: 0,
                last_sender_report: 0,
                delay_since_last_sender_report: 0,
            };
            write_receiver_report(&mut plain, OWN_SSRC, &[block]);
            send(self.seal.encrypt_rtcp(&plain)?);
        }
        Ok(())
    }
}
