//! Receive statistics of one source, and the report block made of them (RFC 3550 §6.4, A.3, A.8).

use std::time::{Duration, Instant};

use crate::id::Ssrc;
use crate::rtp::rtcp::ReportBlock;
use crate::rtp::sequence::SEQUENCE_BASE;

/// Counts what arrives from one SSRC. Packets recovered by RTX belong to another SSRC and are not
/// to be counted here (RFC 4588 §6.3).
#[derive(Clone, Debug, Default)]
pub struct ReceiveStatistics {
    line: Option<Line>,
    /// Packets received, duplicates included.
    received: u64,
    /// Payload bytes received are the caller's to count; these are what the last report said.
    expected_before: u64,
    received_before: u64,
    jitter: Jitter,
    last_sender_report: Option<SenderReportMark>,
}

/// The extent of the sequence numbers seen.
#[derive(Clone, Copy, Debug)]
struct Line {
    first: u64,
    highest: u64,
}

/// What the next report says of the last sender report.
#[derive(Clone, Copy, Debug)]
struct SenderReportMark {
    /// Middle 32 bits of its NTP timestamp.
    ntp_middle: u32,
    arrival: Instant,
}

impl ReceiveStatistics {
    /// Counts a packet: its arrival, its extended sequence number as
    /// [`Unwrapper`](crate::rtp::sequence::Unwrapper) gives it, its timestamp and clock in Hz.
    pub fn on_packet(&mut self, arrival: Instant, index: u64, rtp_time: u32, clock_rate: u32) {
        self.received += 1;
        let in_order = self.line.is_none_or(|line| index > line.highest);
        let line = self.line.get_or_insert(Line { first: index, highest: index });
        line.highest = line.highest.max(index);
        // A packet that was overtaken says how long it waited for a resend, not how the path is.
        if in_order {
            self.jitter.on_packet(arrival, rtp_time, clock_rate);
        }
    }

    /// Notes a sender report of the source; `ntp` in NTP format.
    pub fn on_sender_report(&mut self, now: Instant, ntp: u64) {
        self.last_sender_report =
            Some(SenderReportMark { ntp_middle: (ntp >> 16) as u32, arrival: now });
    }

    /// Begins anew, as after a sequence jump: the next packet is taken for the first. The last
    /// sender report is still the last.
    pub fn restart(&mut self) {
        *self = Self { last_sender_report: self.last_sender_report, ..Self::default() };
    }

    /// What to report now; the share of lost packets is that since the last call.
    pub fn report_block(&mut self, now: Instant, ssrc: Ssrc) -> ReportBlock {
        let expected = self.expected();
        let expected_interval = expected - self.expected_before;
        let received_interval = self.received - self.received_before;
        self.expected_before = expected;
        self.received_before = self.received;
        let lost_interval = expected_interval.saturating_sub(received_interval);
        let fraction = (lost_interval << 8).checked_div(expected_interval).unwrap_or(0);

        let (last_sender_report, delay) = match self.last_sender_report {
            Some(mark) => {
                let delay = now.saturating_duration_since(mark.arrival);
                (mark.ntp_middle, compact_ntp(delay))
            }
            None => (0, 0),
        };
        ReportBlock {
            ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            cumulative_lost: self.lost().clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest_sequence: self
                .line
                .map_or(0, |line| line.highest.wrapping_sub(SEQUENCE_BASE) as u32),
            jitter: self.jitter.units(),
            last_sender_report,
            delay_since_last_sender_report: delay,
        }
    }

    /// Packets received, duplicates included.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Packets expected less packets received: negative if there were duplicates, or if packets
    /// from before the first one came late.
    #[must_use]
    pub fn lost(&self) -> i64 {
        self.expected().cast_signed() - self.received.cast_signed()
    }

    /// Interarrival jitter in units of the codec's clock.
    #[must_use]
    pub fn jitter(&self) -> u32 {
        self.jitter.units()
    }

    fn expected(&self) -> u64 {
        self.line.map_or(0, |line| line.highest - line.first + 1)
    }
}

/// A duration in units of 1/65536 s, as far as 32 bits go.
fn compact_ntp(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos() * 65_536 / 1_000_000_000).unwrap_or(u32::MAX)
}

/// The running estimate of RFC 3550 A.8.
#[derive(Clone, Copy, Debug, Default)]
struct Jitter {
    /// 16 times the jitter, as in the RFC, so that the smoothing is in whole numbers.
    scaled: u64,
    last: Option<Transit>,
}

/// The packet that the next one is compared with.
#[derive(Clone, Copy, Debug)]
struct Transit {
    arrival: Instant,
    rtp_time: u32,
    clock_rate: u32,
}

impl Jitter {
    fn on_packet(&mut self, arrival: Instant, rtp_time: u32, clock_rate: u32) {
        let now = Transit { arrival, rtp_time, clock_rate };
        if let Some(last) = self.last.replace(now)
            && last.clock_rate == clock_rate
        {
            let difference = u64::from(difference(last, now).unsigned_abs());
            self.scaled = self.scaled + difference - ((self.scaled + 8) >> 4);
        }
    }

    fn units(&self) -> u32 {
        u32::try_from(self.scaled >> 4).unwrap_or(u32::MAX)
    }
}

/// How much longer `now` was under way than `last`, in units of the clock, modulo 2³².
fn difference(last: Transit, now: Transit) -> i32 {
    let elapsed = now.arrival.saturating_duration_since(last.arrival);
    let ticks = elapsed.as_nanos() * u128::from(now.clock_rate) / 1_000_000_000;
    let sent = now.rtp_time.wrapping_sub(last.rtp_time);
    (ticks as u32).wrapping_sub(sent).cast_signed()
}
