//! One continuous line: whatever an outgoing SSRC carries, its receiver sees sequence numbers
//! without gaps of our making and timestamps that never jump.

use std::time::{Duration, Instant};

use super::numbering::Numbering;

/// The line of one outgoing SSRC.
///
/// Sequence numbers are 64-bit SRTP indices (rollover counter × 65536 + sequence number,
/// RFC 3711 §3.3.1). The first is below 16384, so every receiver guesses rollover 0, however long
/// the source has been running and however many of the first ones are lost.
#[derive(Debug)]
pub struct Line {
    sequence: Numbering,
    /// Timestamp of the newest packet sent, and when.
    newest: Option<(u32, Instant)>,
    /// First timestamp of the line, before anything was sent.
    first_timestamp: u32,
    /// What to add to the source's timestamps; kept when the source ends, so that the next one can
    /// be aligned with it.
    timestamp_offset: Option<u32>,
}

/// What a packet becomes on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// SRTP index; the low 16 bits are the sequence number.
    pub index: u64,
    /// RTP timestamp.
    pub timestamp: u32,
}

/// The highest first sequence number: half of what a receiver takes for rollover 0 is left for losses
/// before the first packet that it gets.
const FIRST_MAX: u16 = 0x3fff;

/// How far the publisher's clocks may differ from ours, which counts what has passed since the
/// last packet. More than the time that a keyframe waits in a publisher's pacer, or a subscriber
/// would see a jump.
const ALIGNED_MAX: Duration = Duration::from_millis(500);

impl Line {
    /// A line that has sent nothing. The two values should be random (RFC 3550 §5.1);
    /// `first_sequence` is cut to 14 bits.
    #[must_use]
    pub fn new(first_sequence: u16, first_timestamp: u32) -> Self {
        Self {
            sequence: Numbering::new(u64::from(first_sequence & FIRST_MAX)),
            newest: None,
            first_timestamp,
            timestamp_offset: None,
        }
    }

    /// Starts, or goes on with, a new source whose first packet is `index` at `timestamp`.
    /// The line's clock advances by the time that has passed, by one tick at least.
    pub fn begin(&mut self, now: Instant, index: u64, timestamp: u32, clock_rate: u32) {
        self.begin_aligned(now, index, timestamp, None, clock_rate);
    }

    /// As [`Self::begin`], for a source whose relation to the one before is known: `aligned` is
    /// the time of the first packet on the clock of what was forwarded before (see
    /// [`crate::forward::align`]). It counts unless it is behind what was sent, or too far from
    /// the time that has passed; then the line advances as if it were not known.
    pub fn begin_aligned(
        &mut self,
        now: Instant,
        index: u64,
        timestamp: u32,
        aligned: Option<u32>,
        clock_rate: u32,
    ) {
        let target = match self.newest {
            None => self.first_timestamp,
            Some((newest, at)) => {
                let elapsed = ticks(now.saturating_duration_since(at), clock_rate).max(1);
                let expected = newest.wrapping_add(elapsed);
                let aligned = aligned.and_then(|aligned| self.timestamp(aligned));
                let bound = ticks(ALIGNED_MAX, clock_rate).cast_signed();
                match aligned.map(|aligned| (aligned, aligned.wrapping_sub(expected).cast_signed()))
                {
                    Some((aligned, off)) if (-bound..=bound).contains(&off) => {
                        let ahead = aligned.wrapping_sub(newest).cast_signed();
                        if ahead > 0 { aligned } else { newest.wrapping_add(1) }
                    }
                    Some(_) | None => expected,
                }
            }
        };
        self.sequence.begin(index);
        self.timestamp_offset = Some(target.wrapping_sub(timestamp));
    }

    /// Forgets the source; the next packet needs a [`Line::begin`].
    pub fn end(&mut self) {
        self.sequence.end();
        self.timestamp_offset = None;
    }

    /// Where a packet of the source goes; `None` if it belongs to the time before the source
    /// began, or there is no source.
    pub fn map(&mut self, now: Instant, index: u64, timestamp: u32) -> Option<Mapped> {
        let newest = self.sequence.highest().is_none_or(|highest| index > highest);
        let sequence = self.sequence.map(index)?;
        let timestamp = self.timestamp(timestamp)?;
        if newest {
            self.newest = Some((timestamp, now));
        }
        Some(Mapped { index: sequence, timestamp })
    }

    /// Takes a source packet out of the line: later ones close ranks. Only the newest packet can
    /// be taken out. False for a late one: its number has been left open already, and is to be
    /// filled ([`crate::forward::selector::Verdict::Fill`]).
    pub fn skip(&mut self, index: u64) -> bool {
        self.sequence.skip(index)
    }

    /// The line's timestamp of a source timestamp, for sender reports.
    #[must_use]
    pub fn timestamp(&self, source_timestamp: u32) -> Option<u32> {
        Some(source_timestamp.wrapping_add(self.timestamp_offset?))
    }
}

/// `duration` in ticks of a clock of `clock_rate` Hz, wrapping like RTP timestamps do.
#[allow(clippy::cast_possible_truncation, reason = "RTP time is modulo 2^32")]
#[must_use]
pub fn ticks(duration: Duration, clock_rate: u32) -> u32 {
    (duration.as_micros() * u128::from(clock_rate) / 1_000_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CLOCK: u32 = 90_000;

    fn start() -> Instant {
        #[allow(clippy::disallowed_methods, reason = "any instant will do as an origin")]
        Instant::now()
    }

    #[test]
    fn the_first_index_is_below_16384_whatever_the_source_has_sent() {
        let now = start();
        let mut line = Line::new(0xffff, 7);
        line.begin(now, 1 << 40, 1, CLOCK);
        let mapped = line.map(now, 1 << 40, 1).unwrap();
        assert_eq!(mapped, Mapped { index: 0x3fff, timestamp: 7 });
    }

    #[test]
    fn gaps_and_late_packets_keep_their_place() {
        let now = start();
        let mut line = Line::new(0, 0);
        line.begin(now, 100, 0, CLOCK);
        let indices: Vec<_> =
            [100, 103, 101, 104, 102].iter().map(|&i| line.map(now, i, 0).unwrap().index).collect();
        assert_eq!(indices, [0, 3, 1, 4, 2]);
        assert_eq!(line.map(now, 99, 0), None, "from before the source began");
    }

    #[test]
    fn skipped_packets_leave_no_gap() {
        let now = start();
        let mut line = Line::new(0, 0);
        line.begin(now, 10, 0, CLOCK);
        assert_eq!(line.map(now, 10, 0).unwrap().index, 0);
        line.skip(11);
        line.skip(12);
        assert_eq!(line.map(now, 14, 0).unwrap().index, 2, "13 is still missing");
        assert_eq!(line.map(now, 13, 0).unwrap().index, 1);
        line.skip(13);
        assert_eq!(line.map(now, 15, 0).unwrap().index, 3, "a late skip changes nothing");
    }

    #[test]
    fn a_switch_goes_on_where_the_line_was_and_time_passes() {
        let now = start();
        let mut line = Line::new(0, 1_000);
        line.begin(now, 10, 500, CLOCK);
        assert_eq!(line.map(now, 10, 500).unwrap().timestamp, 1_000);
        let later = now + Duration::from_millis(100);
        line.begin(later, 7_000, 123_456, CLOCK);
        let mapped = line.map(later, 7_000, 123_456).unwrap();
        assert_eq!(mapped, Mapped { index: 1, timestamp: 1_000 + 9_000 });
        assert_eq!(line.map(later, 6_999, 0), None);
    }

    #[test]
    fn a_switch_in_the_same_instant_still_moves_the_timestamp() {
        let now = start();
        let mut line = Line::new(0, 0);
        line.begin(now, 1, 5, CLOCK);
        line.map(now, 1, 5);
        line.begin(now, 1, 5, CLOCK);
        assert_eq!(line.map(now, 1, 5).unwrap(), Mapped { index: 1, timestamp: 1 });
    }

    #[test]
    fn an_aligned_switch_keeps_the_distance_of_the_pictures() {
        let now = start();
        let mut line = Line::new(0, 1_000);
        line.begin(now, 10, 500, CLOCK);
        line.map(now, 10, 500);
        // Arrives after 90 ms, but was taken 33 ms after the other.
        let later = now + Duration::from_millis(90);
        line.begin_aligned(later, 70, 99_000, Some(500 + 3_000), CLOCK);
        assert_eq!(line.map(later, 70, 99_000).unwrap().timestamp, 1_000 + 3_000);
    }

    #[test]
    fn an_alignment_never_leads_backwards_or_far_away() {
        let now = start();
        let later = now + Duration::from_millis(100);
        let table = [(500 - 3_000, 1_001), (500, 1_001), (501, 1_001), (500 + 54_000, 55_000)];
        let far = [(500 + 54_001, 10_000), (500 - 36_001, 10_000), (1 << 31, 10_000)];
        for (aligned, timestamp) in table.into_iter().chain(far) {
            let mut line = Line::new(0, 1_000);
            line.begin(now, 10, 500, CLOCK);
            line.map(now, 10, 500);
            line.begin_aligned(later, 70, 7, Some(aligned as u32), CLOCK);
            assert_eq!(line.map(later, 70, 7).unwrap().timestamp, timestamp, "{aligned}");
        }
    }

    #[test]
    fn neighbours_that_are_skipped_cost_one_breakpoint() {
        let now = start();
        let mut line = Line::new(0, 0);
        line.begin(now, 0, 0, CLOCK);
        // Every other frame of 5 packets is left out, each 5th packet is late by 300.
        let frames = 0..60u64;
        let kept = |index: u64| (index / 5).is_multiple_of(2);
        for index in frames.clone().flat_map(|frame| frame * 5..frame * 5 + 4) {
            if kept(index) {
                line.map(now, index, 0);
            } else {
                assert!(line.skip(index));
            }
        }
        let late: Vec<_> = frames
            .map(|frame| frame * 5 + 4)
            .filter(|&index| kept(index))
            .map(|index| line.map(now, index, 0).unwrap().index)
            .collect();
        assert_eq!(late.len(), 30);
        assert!(late.windows(2).all(|pair| pair[1] == pair[0] + 6), "{late:?}");
    }

    proptest! {
        /// Against an oracle: whatever is forwarded or skipped in order, the line has no gap.
        #[test]
        fn in_order_packets_are_numbered_without_gap(
            skips in proptest::collection::vec(any::<bool>(), 1..300),
            first in any::<u16>(),
        ) {
            let now = start();
            let mut line = Line::new(first, 0);
            line.begin(now, 65_530, 0, CLOCK);
            let mut expected = u64::from(first & FIRST_MAX);
            for (i, &skip) in skips.iter().enumerate() {
                let index = 65_530 + i as u64;
                if skip {
                    line.skip(index);
                } else {
                    prop_assert_eq!(line.map(now, index, 0).unwrap().index, expected);
                    expected += 1;
                }
            }
        }

        /// No two source packets ever share a number: SRTP indices must not repeat.
        #[test]
        fn no_index_is_given_twice(
            order in proptest::collection::vec((0u64..120, any::<bool>()), 1..400),
        ) {
            let now = start();
            let mut line = Line::new(0, 0);
            line.begin(now, 0, 0, CLOCK);
            let mut given = std::collections::HashMap::new();
            let mut seen = std::collections::HashSet::new();
            for (index, skip) in order {
                if !seen.insert(index) {
                    continue; // the receive side has dropped duplicates
                }
                if skip {
                    line.skip(index);
                } else if let Some(mapped) = line.map(now, index, 0) {
                    prop_assert_eq!(given.insert(mapped.index, index), None);
                }
            }
        }
    }
}
