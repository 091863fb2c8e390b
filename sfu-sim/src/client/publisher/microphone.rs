//! A microphone.

use std::time::Duration;

use sfu_core::rtp::extension::Extension;

use super::{Outlet, REPORT_INTERVAL, Source};
use crate::client::rtcp;
use crate::random::{Pcg64Mcg, word};
use crate::wire::Stamp;

/// Opus frames: 20 ms of 32 kbit/s.
const AUDIO_INTERVAL: Duration = Duration::from_millis(20);
const AUDIO_BYTES: usize = 80;
const AUDIO_TICKS: u32 = 960;

/// A microphone.
#[derive(Debug)]
pub struct AudioPublisher {
    media: Source,
    source: u32,
    levels: Vec<(Duration, i8)>,
    next_packet: Duration,
    next_report: Duration,
    active: bool,
    frame: u32,
}

impl AudioPublisher {
    pub(crate) fn new(
        levels: Vec<(Duration, i8)>,
        source: u32,
        now: Duration,
        rng: &mut Pcg64Mcg,
    ) -> Self {
        let phase = Duration::from_micros(u64::from(word(rng)) % 20_000);
        Self {
            media: Source::new(rng, None),
            source,
            levels,
            next_packet: now + phase,
            next_report: now + REPORT_INTERVAL,
            active: true,
            frame: 0,
        }
    }

    /// Stops or resumes it.
    pub fn set_active(&mut self, active: bool) {
        self.active = active;
    }

    /// Packets sent.
    #[must_use]
    pub fn packets(&self) -> u32 {
        self.frame
    }

    pub(crate) fn ssrc(&self) -> u32 {
        self.media.ssrc
    }

    /// The number of its source, as its stamps say.
    #[must_use]
    pub fn source(&self) -> u32 {
        self.source
    }

    pub(crate) fn wake(&self) -> Duration {
        self.next_packet.min(self.next_report)
    }

    pub(crate) fn poll(&mut self, outlet: &mut Outlet<'_>) {
        if self.next_packet <= outlet.now {
            let missed = outlet.now - self.next_packet > AUDIO_INTERVAL;
            self.next_packet = AUDIO_INTERVAL + if missed { outlet.now } else { self.next_packet };
            if self.active {
                self.send(outlet);
            }
        }
        if self.next_report <= outlet.now {
            self.next_report = outlet.now + REPORT_INTERVAL;
            let (media, rtp_time) = (&self.media, self.timestamp(outlet.now));
            let (packets, octets) = (media.packets, media.octets);
            let report = rtcp::sender_report(media.ssrc, outlet.ntp, rtp_time, packets, octets);
            outlet.transmit.push(&report);
        }
    }

    fn send(&mut self, outlet: &mut Outlet<'_>) {
        let stamp = Stamp {
            source: self.source,
            frame: self.frame,
            parts: 1,
            sent: outlet.now,
            ..Stamp::default()
        };
        self.frame += 1;
        let timestamp = self.timestamp(outlet.now);
        let header = self.media.header(outlet.numbering.opus, timestamp, false);
        self.media.count(AUDIO_BYTES);
        let level = self.levels.iter().rev().find(|(from, _)| *from <= outlet.now);
        let level = level.map_or(-127, |&(_, level)| level);
        // RFC 6464 §3: the level without its sign; bit 7 says "voice".
        let byte = [u8::from(level > -50) << 7 | level.unsigned_abs()];
        let write = |out: &mut Vec<u8>| {
            out.resize(out.len() + AUDIO_BYTES - Stamp::BYTES, 0x78);
            stamp.write(out);
        };
        outlet.send(&header, &[(Extension::AudioLevel, &byte)], write, 0);
    }

    fn timestamp(&self, now: Duration) -> u32 {
        #[allow(clippy::cast_possible_truncation, reason = "RTP time is modulo 2^32")]
        let packets = (now.as_micros() / AUDIO_INTERVAL.as_micros()) as u32;
        self.media.timestamp_base.wrapping_add(packets.wrapping_mul(AUDIO_TICKS))
    }
}
