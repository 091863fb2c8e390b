//! The estimator under test: `sfu_core::bandwidth::SendSide`.

use std::time::Instant;

use sfu_core::bandwidth::send_side::OVERHEAD_BYTES;
use sfu_core::bandwidth::{
    BandwidthConfig, Departure as CoreDeparture, ProbeId, SendSide, SentKind,
};
use sfu_core::id::Ssrc;

use super::{Controller, Departure, LEAST_BPS, Probe, START_BPS};
use crate::lab::flow::Class;

/// [`SendSide`] as the engine uses it.
pub struct Ours(SendSide);

impl Ours {
    /// One whose flow begins at `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        let config = BandwidthConfig {
            start_bps: START_BPS,
            min_bps: LEAST_BPS,
            ..BandwidthConfig::default()
        };
        Self(SendSide::new(now, config))
    }

    /// The estimator.
    #[must_use]
    pub fn send_side(&self) -> &SendSide {
        &self.0
    }
}

impl Controller for Ours {
    fn handle_departure(&mut self, now: Instant, departure: Departure) {
        debug_assert_eq!(departure.transport_sequence, self.0.next_sequence());
        let kind = match departure.class {
            Class::Media | Class::Control => SentKind::Video,
            Class::Retransmission => SentKind::Retransmission,
            Class::Padding => SentKind::Padding,
        };
        let departure = CoreDeparture {
            ssrc: Ssrc(departure.ssrc),
            sequence: departure.rtp_sequence,
            bytes: (departure.bytes as usize).saturating_sub(OVERHEAD_BYTES),
            kind,
            probe: departure.probe.map(ProbeId),
        };
        self.0.record(now, departure);
    }

    fn handle_feedback(&mut self, now: Instant, bytes: &[u8]) {
        /// FMT of transport-wide feedback.
        const TWCC: u8 = 15;
        let taken = if bytes.first().is_some_and(|byte| byte & 0x1f == TWCC) {
            self.0.on_twcc(now, bytes)
        } else {
            self.0.on_ccfb(now, bytes)
        };
        assert!(taken.is_ok(), "feedback of the lab's own receiver is refused: {taken:?}");
    }

    fn set_demand(&mut self, now: Instant, wanted_bps: u64, allocated_bps: u64) {
        self.0.set_demand(now, wanted_bps, allocated_bps);
    }

    fn target_bps(&self) -> u64 {
        self.0.estimate().target_bps
    }

    fn poll_probe(&mut self, now: Instant) -> Option<Probe> {
        let probe = self.0.poll_probe(now)?;
        Some(Probe {
            id: probe.id.0,
            bitrate_bps: probe.bitrate_bps,
            duration: probe.duration,
            packets_min: u32::from(probe.packets_min),
        })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.0.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.0.handle_timeout(now);
    }

    fn loss(&self) -> Option<f32> {
        Some(self.0.estimate().loss)
    }
}
