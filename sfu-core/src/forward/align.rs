//! The encodings of a track have a clock each, with an offset of its own. Which times of two of
//! them belong together is told by sender reports (RFC 3550 §6.4.1); before there are some, by
//! when packets arrived.

use std::time::{Duration, Instant};

use super::rewrite::ticks;

/// What is known of one encoding's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// The latest sender report: NTP time of the publisher, and RTP time.
    report: Option<(u64, u32)>,
    /// The packet that took the shortest way so far: its arrival, and its RTP time.
    fastest: Option<(Instant, u32)>,
}

/// Reports of one publisher this far apart are not of one clock (2³² is a second).
const REPORTS_APART_MAX: i64 = 60 << 32;

impl Clock {
    /// Notes a packet. The one with the least delay is kept: what is late says less.
    pub fn on_packet(&mut self, now: Instant, timestamp: u32, clock_rate: u32) {
        let faster = self.fastest.is_none_or(|(at, fastest)| {
            let elapsed = ticks(now.saturating_duration_since(at), clock_rate);
            let expected = fastest.wrapping_add(elapsed);
            expected.wrapping_sub(timestamp).cast_signed() <= 0
        });
        if faster {
            self.fastest = Some((now, timestamp));
        }
    }

    /// Notes a sender report.
    pub fn on_report(&mut self, ntp: u64, timestamp: u32) {
        self.report = Some((ntp, timestamp));
    }

    /// The time on this clock at which the other one shows `timestamp`. `None` if nothing relates
    /// the two.
    #[must_use]
    pub fn translate(&self, other: &Self, timestamp: u32, clock_rate: u32) -> Option<u32> {
        // What was reported, to the nanosecond, or else what arrived.
        let ahead = self
            .reported_ahead(other, clock_rate)
            .or_else(|| self.measured_ahead(other, clock_rate))?;
        Some(timestamp.wrapping_add(ahead))
    }

    /// What to add to the other's time to get this one's, by sender reports.
    fn reported_ahead(&self, other: &Self, clock_rate: u32) -> Option<u32> {
        let (ours, theirs) = (self.report?, other.report?);
        let apart = ours.0.wrapping_sub(theirs.0).cast_signed();
        if apart.abs() > REPORTS_APART_MAX {
            return None;
        }
        let ticks = (i128::from(apart) * i128::from(clock_rate)) >> 32;
        // The other clock at the time of our report:
        let other_then = theirs.1.wrapping_add(ticks as u32);
        Some(ours.1.wrapping_sub(other_then))
    }

    /// The same, by arrival.
    fn measured_ahead(&self, other: &Self, clock_rate: u32) -> Option<u32> {
        let (ours, theirs) = (self.fastest?, other.fastest?);
        let later = ticks(ours.0.saturating_duration_since(theirs.0), clock_rate);
        let earlier = ticks(theirs.0.saturating_duration_since(ours.0), clock_rate);
        let other_then = theirs.1.wrapping_add(later).wrapping_sub(earlier);
        Some(ours.1.wrapping_sub(other_then))
    }
}

/// Silence after which an encoding is taken to have stopped: longer than the pauses of a still
/// screen at low frame rates.
pub const SILENT_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        #[allow(clippy::disallowed_methods, reason = "any instant will do as an origin")]
        Instant::now()
    }

    const RATE: u32 = 90_000;
    const SECOND: u64 = 1 << 32;

    #[test]
    fn reports_relate_two_clocks() {
        let (mut low, mut high) = (Clock::default(), Clock::default());
        low.on_report(100 * SECOND, 5_000);
        assert_eq!(low.translate(&high, 0, RATE), None);
        high.on_report(101 * SECOND + SECOND / 2, 7_000_000);
        // 1.5 s later the low one shows 5_000 + 135_000.
        assert_eq!(low.translate(&high, 7_000_000, RATE), Some(140_000));
        assert_eq!(high.translate(&low, 140_000, RATE), Some(7_000_000));
        assert_eq!(high.translate(&high, 42, RATE), Some(42));
        high.on_report(200 * SECOND, 1);
        assert_eq!(low.translate(&high, 0, RATE), None, "not one clock");
    }

    #[test]
    fn clocks_may_wrap_in_between() {
        let (mut low, mut high) = (Clock::default(), Clock::default());
        low.on_report(SECOND, u32::MAX - 10);
        high.on_report(0, 50);
        assert_eq!(low.translate(&high, 50 + 90_000, RATE), Some(u32::MAX - 10));
        assert_eq!(low.translate(&high, 50 + 90_011, RATE), Some(0));
    }

    #[test]
    fn before_the_first_report_the_fastest_packets_count() {
        let now = start();
        let ms = Duration::from_millis;
        let (mut low, mut high) = (Clock::default(), Clock::default());
        for (frame, jitter) in [(0, 9), (1, 0), (2, 25), (3, 3)] {
            let at = now + ms(frame * 30);
            low.on_packet(at + ms(jitter), 1_000 + 2_700 * frame as u32, RATE);
            high.on_packet(at + ms(28 - jitter), 500_000 + 2_700 * frame as u32, RATE);
        }
        // The fastest of one took 0 ms, of the other 3: so much is the error.
        assert_eq!(low.translate(&high, 500_000, RATE), Some(1_000 + 270));
    }
}
