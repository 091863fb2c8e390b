//! Congestion controllers behind one trait, so that the same flow runs over each of them.

use std::time::{Duration, Instant};

use super::flow::Class;

pub mod ours;
pub mod stock;

/// Where a media flow begins, bit/s.
pub const START_BPS: u64 = 300_000;
/// Least it goes down to.
pub const LEAST_BPS: u64 = 30_000;

/// What a controller hears of a packet that leaves.
#[derive(Clone, Copy, Debug)]
pub struct Departure {
    /// SSRC of its stream.
    pub ssrc: u32,
    /// RTP sequence number in it.
    pub rtp_sequence: u16,
    /// Transport-wide sequence number.
    pub transport_sequence: u16,
    /// Size at the IP level.
    pub bytes: u32,
    /// What it carries.
    pub class: Class,
    /// The probe it belongs to.
    pub probe: Option<u32>,
}

/// A burst above the estimate that shows whether there is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Comes back in [`Departure::probe`].
    pub id: u32,
    /// At this rate, bit/s,
    pub bitrate_bps: u64,
    /// for at least so long
    pub duration: Duration,
    /// and with at least so many packets.
    pub packets_min: u32,
}

/// A congestion controller.
pub trait Controller {
    /// A packet leaves.
    fn handle_departure(&mut self, now: Instant, departure: Departure);
    /// One RTCP feedback packet has come.
    fn handle_feedback(&mut self, now: Instant, bytes: &[u8]);
    /// What is wanted with bandwidth enough, and what is sent of it, bit/s.
    fn set_demand(&mut self, now: Instant, wanted_bps: u64, allocated_bps: u64);
    /// The estimate, bit/s.
    fn target_bps(&self) -> u64;
    /// A probe it wants sent.
    fn poll_probe(&mut self, now: Instant) -> Option<Probe>;
    /// When it wants to be called.
    fn poll_timeout(&self) -> Option<Instant>;
    /// Called then.
    fn handle_timeout(&mut self, now: Instant);
    /// Share of packets lost of late, if it knows.
    fn loss(&self) -> Option<f32>;
}
