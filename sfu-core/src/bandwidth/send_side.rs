//! Everything the sender of one transport knows of its path: what left, what came back, what to try.
//!
//! Rates are bit/s on the wire: UDP payload and [`OVERHEAD_BYTES`] for each packet.

use std::time::{Duration, Instant};

use crate::decision::{Estimate, LimitedBy, ProbeReason};
use crate::drops::DropReason;
use crate::id::Ssrc;

/// What IPv4 and UDP add to each payload. (IPv6 adds 20 more, which is within the margin.)
pub const OVERHEAD_BYTES: usize = 28;

/// Where the estimate starts and stays, bit/s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BandwidthConfig {
    /// Before anything is known.
    pub start_bps: u64,
    /// The estimate never falls below.
    pub min_bps: u64,
    /// The estimate never rises above.
    pub max_bps: u64,
}

impl Default for BandwidthConfig {
    fn default() -> Self {
        Self { start_bps: 300_000, min_bps: 30_000, max_bps: 20_000_000 }
    }
}

/// What a packet is to the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentKind {
    /// Never paced.
    Audio,
    /// A first transmission.
    Video,
    /// RTX with something in it.
    Retransmission,
    /// Nothing but a probe's filling.
    Padding,
}

/// Names a probe cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(pub u32);

/// A packet that leaves.
#[derive(Clone, Copy, Debug)]
pub struct Departure {
    /// As written in the packet.
    pub ssrc: Ssrc,
    /// As written in the packet.
    pub sequence: u16,
    /// UDP payload.
    pub bytes: usize,
    /// What it is.
    pub kind: SentKind,
    /// The probe cluster that it is part of, whatever it carries.
    pub probe: Option<ProbeId>,
}

/// A burst to be sent, of media where there is some and of padding where not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// To be given with each of its packets.
    pub id: ProbeId,
    /// How fast, bit/s on the wire, [`OVERHEAD_BYTES`] included.
    pub bitrate_bps: u64,
    /// For how long at least.
    pub duration: Duration,
    /// How many packets at least.
    pub packets_min: u8,
    /// Why it goes out.
    pub why: ProbeReason,
}

/// The sender's side of congestion control for one transport.
#[derive(Debug)]
pub struct SendSide {
    config: BandwidthConfig,
    next_sequence: u16,
    remb_bps: Option<u64>,
}

impl SendSide {
    /// Nothing is known of the path yet.
    #[must_use]
    pub fn new(_now: Instant, config: BandwidthConfig) -> Self {
        Self { config, next_sequence: 0, remb_bps: None }
    }

    /// Numbers and records an outgoing packet.
    pub fn record(&mut self, _now: Instant, _departure: Departure) {
        self.next_sequence = self.next_sequence.wrapping_add(1);
    }

    /// The transport-wide number of the next recorded packet; written into it before it is sealed.
    #[must_use]
    pub fn next_sequence(&self) -> u16 {
        self.next_sequence
    }

    /// Transport-wide feedback, a whole RTCP block.
    ///
    /// # Errors
    /// [`DropReason::RtcpMalformed`]; nothing of it was used then.
    pub fn on_twcc(&mut self, _now: Instant, _block: &[u8]) -> Result<(), DropReason> {
        Ok(())
    }

    /// Congestion control feedback (RFC 8888), a whole RTCP block.
    ///
    /// # Errors
    /// [`DropReason::RtcpMalformed`]; nothing of it was used then.
    pub fn on_ccfb(&mut self, _now: Instant, _block: &[u8]) -> Result<(), DropReason> {
        Ok(())
    }

    /// The receiver's own estimate.
    pub fn on_remb(&mut self, _now: Instant, bps: u64) {
        self.remb_bps = Some(bps);
    }

    /// Packets take another path from now on.
    pub fn on_route_change(&mut self, _now: Instant) {}

    /// What the subscriber would take if it could, and what is allocated to it now, bit/s.
    pub fn set_demand(&mut self, _now: Instant, _wanted_bps: u64, _allocated_bps: u64) {}

    /// What the path is thought to carry.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        let BandwidthConfig { start_bps, min_bps, max_bps } = self.config;
        let target = self.remb_bps.unwrap_or(start_bps).clamp(min_bps, max_bps);
        let limited_by = if self.remb_bps.is_some() { LimitedBy::Remb } else { LimitedBy::Start };
        Estimate {
            target_bps: target,
            limited_by,
            delay_bps: target,
            remb_bps: self.remb_bps,
            ..Estimate::default()
        }
    }

    /// A probe that should go out now, if any.
    pub fn poll_probe(&mut self, _now: Instant) -> Option<Probe> {
        None
    }

    /// What a finished probe has shown, bit/s.
    pub fn poll_probed(&mut self) -> Option<u64> {
        None
    }

    /// Does what became due.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// When [`Self::handle_timeout`] wants to be called, and [`Self::poll_probe`] after it.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}
