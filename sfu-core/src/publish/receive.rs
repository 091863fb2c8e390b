//! Receive statistics of one source, and the report block made of them (RFC 3550 §6.4, A.3, A.8).

use std::time::{Duration, Instant};

use crate::id::Ssrc;
use crate::rtp::rtcp::ReportBlock;
use crate::rtp::sequence::SEQUENCE_BASE;

/// Counts what arrives from one SSRC. Packets recovered by RTX came on another SSRC (RFC 4588
/// §4) and are not to be counted here.
#[derive(Clone, Debug, Default)]
pub struct ReceiveStatistics {
    line: Option<Line>,
    /// Packets received, duplicates included.
    received: u64,
    /// What the last report was made of.
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

    /// When the last packet came.
    #[must_use]
    pub fn heard(&self) -> Option<Instant> {
        self.jitter.last.map(|last| last.arrival)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::test_clock::{ms, origin};

    const SSRC: Ssrc = Ssrc(9);

    #[test]
    fn losses_are_counted_in_all_and_since_the_last_report() {
        let now = origin();
        let mut statistics = ReceiveStatistics::default();
        let receive = |statistics: &mut ReceiveStatistics, sequences: &[u64]| {
            for sequence in sequences {
                statistics.on_packet(now, SEQUENCE_BASE + sequence, 0, 90_000);
            }
            let block = statistics.report_block(now, SSRC);
            (block.fraction_lost, block.cumulative_lost, block.highest_sequence)
        };
        assert_eq!(receive(&mut statistics, &[]), (0, 0, 0));
        assert_eq!(receive(&mut statistics, &[65_533, 65_534]), (0, 0, 65_534));
        assert_eq!(receive(&mut statistics, &[65_535, 65_538]), (128, 2, 0x1_0002));
        assert_eq!(receive(&mut statistics, &[65_537]), (0, 1, 0x1_0002), "a late one");
        assert_eq!(receive(&mut statistics, &[65_538, 65_538]), (0, -1, 0x1_0002), "duplicates");
        assert_eq!(receive(&mut statistics, &[65_539, 66_539]), (255, 998, 0x1_03eb));
        assert_eq!(receive(&mut statistics, &[]), (0, 998, 0x1_03eb), "nothing new");
        assert_eq!(statistics.lost(), 998);
        assert_eq!(statistics.received(), 9);
    }

    #[test]
    fn the_sum_of_losses_stays_within_its_24_bits() {
        let now = origin();
        let mut statistics = ReceiveStatistics::default();
        statistics.on_packet(now, SEQUENCE_BASE, 0, 90_000);
        statistics.on_packet(now, SEQUENCE_BASE + (1 << 40), 0, 90_000);
        assert_eq!(statistics.report_block(now, SSRC).cumulative_lost, 0x7f_ffff);
        statistics.restart();
        assert_eq!((statistics.lost(), statistics.received()), (0, 0));
        for _ in 0..10 {
            statistics.on_packet(now, SEQUENCE_BASE + 7, 0, 90_000);
        }
        let block = statistics.report_block(now, SSRC);
        assert_eq!((block.fraction_lost, block.cumulative_lost), (0, -9));
        assert_eq!(block.highest_sequence, 7);
    }

    #[test]
    fn the_last_sender_report_is_named_with_its_age() {
        let now = origin();
        let mut statistics = ReceiveStatistics::default();
        let block = statistics.report_block(now, SSRC);
        assert_eq!((block.last_sender_report, block.delay_since_last_sender_report), (0, 0));
        statistics.on_sender_report(now, 0x1111_2222_3333_4444);
        statistics.restart();
        // Time going back, then the RFC's own example (§6.4.1): 5.25 s are 0x0005:4000.
        let table = [(0, 0), (5_250, 0x0005_4000), (100_000_000, u32::MAX)];
        for (milliseconds, delay) in table {
            let block = statistics.report_block(now + ms(milliseconds), SSRC);
            assert_eq!(block.last_sender_report, 0x2222_3333);
            assert_eq!(block.delay_since_last_sender_report, delay, "{milliseconds} ms");
        }
        for ntp in [0, u64::MAX] {
            statistics.on_sender_report(now + ms(9), ntp);
            let block = statistics.report_block(now, SSRC);
            assert_eq!(block.last_sender_report, ntp as u32);
            assert_eq!(block.delay_since_last_sender_report, 0);
        }
    }

    #[test]
    fn jitter_converges_on_the_mean_deviation() {
        let start = origin();
        let mut statistics = ReceiveStatistics::default();
        // 20 ms of Opus each, arriving alternately on time and 10 ms late: |D| is 480 each time.
        for packet in 0..400u64 {
            let arrival = start + ms(20 * packet + 10 * (packet % 2));
            let rtp_time = (u32::MAX - 9_600).wrapping_add(960 * packet as u32);
            statistics.on_packet(arrival, SEQUENCE_BASE + packet, rtp_time, 48_000);
        }
        assert!((470..=480).contains(&statistics.jitter()), "{}", statistics.jitter());
        assert_eq!(statistics.report_block(start, SSRC).jitter, statistics.jitter());

        let settled = statistics.jitter();
        statistics.on_packet(start + ms(60_000), SEQUENCE_BASE + 3, 0, 48_000);
        assert_eq!(statistics.jitter(), settled, "a late packet does not count");
        statistics.on_packet(start, SEQUENCE_BASE + 400, 123, 90_000);
        assert_eq!(statistics.jitter(), settled, "nor does a change of clock");
    }

    #[test]
    fn the_first_steps_of_jitter_are_those_of_the_rfc() {
        let start = origin();
        let mut statistics = ReceiveStatistics::default();
        // J += (|D| - J) / 16, with |D| = 160, 0, 320 units at 8 kHz.
        for (packet, (milliseconds, jitter)) in
            [(0, 0), (40, 10), (60, 9), (120, 28)].into_iter().enumerate()
        {
            let index = SEQUENCE_BASE + packet as u64;
            statistics.on_packet(start + ms(milliseconds), index, 160 * packet as u32, 8_000);
            assert_eq!(statistics.jitter(), jitter, "packet {packet}");
        }
    }

    #[test]
    fn no_timestamp_or_arrival_is_too_wild() {
        let start = origin();
        let mut statistics = ReceiveStatistics::default();
        let moments = [0, 10_000, 0, 5, 1 << 40, 3];
        for (packet, milliseconds) in moments.into_iter().cycle().take(600).enumerate() {
            let rtp_time = (packet as u32).wrapping_mul(0x9e37_79b9);
            let index = SEQUENCE_BASE + packet as u64;
            statistics.on_packet(start + ms(milliseconds), index, rtp_time, u32::MAX);
            statistics.report_block(start, SSRC);
        }
        assert!(statistics.jitter() <= 1 << 31);
    }
}
