//! One continuous line: whatever an outgoing SSRC carries, its receiver sees sequence numbers
//! without gaps of our making and timestamps that never jump.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Breakpoints kept for late packets. A source that pads more often than this within its
/// reordering window loses late packets, nothing worse.
const BREAKPOINTS_MAX: usize = 64;

/// The line of one outgoing SSRC.
///
/// Sequence numbers are 64-bit SRTP indices (rollover counter × 65536 + sequence number,
/// RFC 3711 §3.3.1). The first is below 32768, so every receiver guesses rollover 0, however long
/// the source has been running.
#[derive(Debug)]
pub struct Line {
    /// Index the next new packet gets at least.
    next_index: u64,
    /// Timestamp of the newest packet sent, and when.
    newest: Option<(u32, Instant)>,
    /// First timestamp of the line, before anything was sent.
    first_timestamp: u32,
    source: Option<SourceMap>,
}

/// How the present source's numbers become the line's.
#[derive(Debug)]
struct SourceMap {
    /// (`from`, `to`): source indices from `from` on, up to the next breakpoint, become
    /// `index - from + to`. In rising order.
    breakpoints: VecDeque<(u64, u64)>,
    /// Highest source index seen, forwarded or skipped.
    highest: Option<u64>,
    timestamp_offset: u32,
}

/// What a packet becomes on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// SRTP index; the low 16 bits are the sequence number.
    pub index: u64,
    /// RTP timestamp.
    pub timestamp: u32,
}

impl Line {
    /// A line that has sent nothing. The two values should be random (RFC 3550 §5.1);
    /// `first_sequence` is cut to 15 bits.
    #[must_use]
    pub fn new(first_sequence: u16, first_timestamp: u32) -> Self {
        Self {
            next_index: u64::from(first_sequence & 0x7fff),
            newest: None,
            first_timestamp,
            source: None,
        }
    }

    /// Starts, or goes on, with a new source whose first packet is `index` at `timestamp`.
    /// The line's clock advances by the time that has passed, by one tick at least.
    pub fn begin(&mut self, now: Instant, index: u64, timestamp: u32, clock_rate: u32) {
        let target = match self.newest {
            None => self.first_timestamp,
            Some((newest, at)) => {
                let ticks = ticks(now.saturating_duration_since(at), clock_rate).max(1);
                newest.wrapping_add(ticks)
            }
        };
        self.source = Some(SourceMap {
            breakpoints: VecDeque::from([(index, self.next_index)]),
            highest: None,
            timestamp_offset: target.wrapping_sub(timestamp),
        });
    }

    /// Forgets the source; the next packet needs a [`Line::begin`].
    pub fn end(&mut self) {
        self.source = None;
    }

    /// Where a packet of the source goes; `None` if it belongs to the time before the source
    /// began, or there is no source.
    pub fn map(&mut self, now: Instant, index: u64, timestamp: u32) -> Option<Mapped> {
        let source = self.source.as_mut()?;
        let position = source.breakpoints.iter().rposition(|&(from, _)| from <= index)?;
        let (from, to) = source.breakpoints[position];
        let mapped = Mapped {
            index: index - from + to,
            timestamp: timestamp.wrapping_add(source.timestamp_offset),
        };
        let taken = source.breakpoints.get(position + 1).map(|&(_, next)| next);
        if taken.is_some_and(|next| mapped.index >= next) {
            return None;
        }
        if source.highest.is_none_or(|highest| index > highest) {
            source.highest = Some(index);
            self.newest = Some((mapped.timestamp, now));
        }
        self.next_index = self.next_index.max(mapped.index + 1);
        Some(mapped)
    }

    /// Takes a source packet out of the line: later ones close ranks. Only the newest packet can
    /// be taken out; the number of a late one has been left open already.
    pub fn skip(&mut self, index: u64) {
        let Some(source) = self.source.as_mut() else { return };
        if source.highest.is_some_and(|highest| index <= highest) {
            return;
        }
        let Some(&(from, to)) = source.breakpoints.back() else { return };
        if index < from {
            return;
        }
        source.highest = Some(index);
        source.breakpoints.push_back((index + 1, index - from + to));
        if source.breakpoints.len() > BREAKPOINTS_MAX {
            source.breakpoints.pop_front();
        }
    }

    /// The line's timestamp of a source timestamp, for sender reports.
    #[must_use]
    pub fn timestamp(&self, source_timestamp: u32) -> Option<u32> {
        let source = self.source.as_ref()?;
        Some(source_timestamp.wrapping_add(source.timestamp_offset))
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
    fn the_first_index_is_below_32768_whatever_the_source_has_sent() {
        let now = start();
        let mut line = Line::new(0xffff, 7);
        line.begin(now, 1 << 40, 1, CLOCK);
        let mapped = line.map(now, 1 << 40, 1).unwrap();
        assert_eq!(mapped, Mapped { index: 0x7fff, timestamp: 7 });
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
            let mut expected = u64::from(first & 0x7fff);
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
