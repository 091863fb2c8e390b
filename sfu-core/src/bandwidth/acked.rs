//! How fast packets arrive, by the receiver's own clock: how often feedback comes makes no
//! difference.

use std::collections::VecDeque;
use std::time::Duration;

use crate::limits;

/// The rate is that of this long, …
const WINDOW: Duration = Duration::from_millis(150);
/// … or of as long as it takes to have so many bins, …
const BINS_MIN: usize = 8;
/// … which is no longer than this.
const WINDOW_MAX: Duration = Duration::from_secs(1);
/// A smoother rate, for bounds that need not follow at once.
const WINDOW_LONG: Duration = Duration::from_millis(500);
/// Packets that arrive this close together are one bin: bounds the bins of a window.
const BIN: Duration = Duration::from_millis(2);
/// An arrival this far off the latest is on another clock.
const JUMP: Duration = Duration::from_secs(3);

/// Bytes by arrival.
#[derive(Debug, Default)]
pub struct AckedRate {
    /// Oldest first.
    bins: VecDeque<Bin>,
    newest: Newest,
}

/// Packets that arrived together. Sums run over all that ever came, so that those of a window are a
/// difference; what is missing in feedback counts in neither.
#[derive(Clone, Copy, Debug)]
struct Bin {
    /// When its last packet arrived, in nanoseconds.
    last: u64,
    /// Bytes up to its end.
    bytes: u64,
    /// Nanoseconds up to its end of which something is known.
    known: u64,
}

/// What only the newest bin needs.
#[derive(Clone, Copy, Debug, Default)]
struct Newest {
    /// When its first packet arrived, in nanoseconds.
    first: u64,
    /// Nothing is known of the time before it.
    is_behind_gap: bool,
}

impl AckedRate {
    /// Takes a packet that arrived. Packets may have overtaken each other. `is_behind_gap`: what
    /// was sent before it is not known to have arrived or not.
    pub fn on_packet(&mut self, arrival: Duration, bytes: usize, is_behind_gap: bool) {
        let arrival = nanos(arrival);
        let bytes = bytes as u64;
        let Some(newest) = self.bins.back_mut() else {
            self.begin(arrival, is_behind_gap);
            return;
        };
        let counted = if self.newest.is_behind_gap { 0 } else { bytes };
        if arrival.abs_diff(newest.last) > nanos(JUMP) {
            self.bins.clear();
            self.begin(arrival, is_behind_gap);
        } else if arrival <= newest.last {
            // Overtaken on the way; which bin it is added to makes no difference to a sum.
            newest.bytes = newest.bytes.wrapping_add(counted);
        } else if arrival - self.newest.first < nanos(BIN) && !is_behind_gap {
            if !self.newest.is_behind_gap {
                newest.known += arrival - newest.last;
            }
            newest.last = arrival;
            newest.bytes = newest.bytes.wrapping_add(counted);
        } else {
            let mut bin = Bin { last: arrival, ..*newest };
            if !is_behind_gap {
                bin.bytes = bin.bytes.wrapping_add(bytes);
                bin.known += arrival - newest.last;
            }
            self.bins.push_back(bin);
            self.newest = Newest { first: arrival, is_behind_gap };
            self.forget_old(arrival);
        }
    }

    /// The rate of the last moments, bit/s.
    #[must_use]
    pub fn bps(&self) -> Option<u64> {
        self.over(WINDOW)
    }

    /// The rate of the last half second, bit/s.
    #[must_use]
    pub fn smooth_bps(&self) -> Option<u64> {
        self.over(WINDOW_LONG)
    }

    /// When the latest packet arrived.
    #[must_use]
    pub fn latest(&self) -> Option<Duration> {
        self.bins.back().map(|bin| Duration::from_nanos(bin.last))
    }

    /// Forgets everything, as after a silence or on a new path.
    pub fn reset(&mut self) {
        self.bins.clear();
    }

    /// The first packet: what it brought took nobody knows how long, and never counts.
    fn begin(&mut self, arrival: u64, is_behind_gap: bool) {
        self.bins.push_back(Bin { last: arrival, bytes: 0, known: 0 });
        self.newest = Newest { first: arrival, is_behind_gap };
    }

    /// Bytes behind the first bin of the window, by the time from it to the last. Where feedback
    /// is missing, neither the time nor the packet that ends it counts.
    fn over(&self, window: Duration) -> Option<u64> {
        let newest = self.bins.back()?;
        let window = nanos(window);
        let candidates = self.bins.len().saturating_sub(BINS_MIN);
        let found = self.bins.partition_point(|bin| newest.known - bin.known >= window);
        let first = &self.bins[found.min(candidates).saturating_sub(1)];
        let (bytes, span) = (newest.bytes.wrapping_sub(first.bytes), newest.known - first.known);
        // Half a window says little of a rate; the start of a stream is not a rate at all.
        if span < nanos(WINDOW) / 2 {
            return None;
        }
        let bps = u128::from(bytes) * 8 * 1_000_000 / u128::from(span / 1000).max(1);
        Some(u64::try_from(bps).unwrap_or(u64::MAX))
    }

    fn forget_old(&mut self, now: u64) {
        while let Some(oldest) = self.bins.front()
            && (now.saturating_sub(oldest.last) > nanos(WINDOW_MAX)
                || self.bins.len() > limits::ACKNOWLEDGED_BINS_MAX)
        {
            self.bins.pop_front();
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The rate as it is meant, by going through all packets: the model.
    #[derive(Default)]
    struct Summed {
        /// First, last, bytes, whether behind a gap; oldest first.
        bins: Vec<(Duration, Duration, u64, bool)>,
    }

    impl Summed {
        fn on_packet(&mut self, arrival: Duration, bytes: u64, gap: bool) {
            let new = (arrival, arrival, bytes, gap);
            let Some(newest) = self.bins.last_mut() else { return self.bins.push(new) };
            if arrival.abs_diff(newest.1) > JUMP {
                self.bins = vec![new];
            } else if arrival <= newest.1 {
                newest.2 += bytes;
            } else if arrival - newest.0 < BIN && !gap {
                (newest.1, newest.2) = (arrival, newest.2 + bytes);
            } else {
                self.bins.push(new);
                let most = limits::ACKNOWLEDGED_BINS_MAX;
                let excess = self.bins.len().saturating_sub(most);
                self.bins.drain(..excess);
                self.bins.retain(|bin| arrival.saturating_sub(bin.1) <= WINDOW_MAX);
            }
        }

        fn over(&self, window: Duration) -> Option<u64> {
            let (mut bytes, mut span) = (0, Duration::ZERO);
            for (count, pair) in self.bins.windows(2).rev().enumerate() {
                if span >= window && count >= BINS_MIN {
                    break;
                }
                if !pair[1].3 {
                    bytes += pair[1].2;
                    span += pair[1].1 - pair[0].1;
                }
            }
            let enough = span >= WINDOW / 2;
            enough.then(|| bytes * 8 * 1_000_000 / span.as_micros().max(1) as u64)
        }
    }

    proptest! {
        /// Against the model: packets that overtake, gaps, bursts, pauses and other clocks.
        #[test]
        fn the_rate_is_the_sum_of_its_window(
            packets in proptest::collection::vec(
                (prop_oneof![8 => -3_000i64..12_000, 1 => 0i64..300_000, 1 => -4_000_000i64..4_000_000],
                 1usize..1500, 0u8..12),
                1..700,
            ),
        ) {
            let (mut rate, mut model) = (AckedRate::default(), Summed::default());
            let mut at = 1_000_000_000_i64;
            for (step, bytes, gap) in packets {
                at += step;
                let arrival = Duration::from_micros(at as u64);
                rate.on_packet(arrival, bytes, gap == 0);
                model.on_packet(arrival, bytes as u64, gap == 0);
                prop_assert_eq!(rate.bps(), model.over(WINDOW));
                prop_assert_eq!(rate.smooth_bps(), model.over(WINDOW_LONG));
                prop_assert_eq!(rate.latest(), model.bins.last().map(|bin| bin.1));
            }
        }
    }

    /// Packets of 1250 bytes every 10 ms (1 Mbit/s), told in batches of `batch`.
    #[test]
    fn a_steady_rate_is_read_as_it_is() {
        let mut rate = AckedRate::default();
        for n in 0..200u64 {
            rate.on_packet(Duration::from_millis(10 * n), 1250, false);
            if n > 30 {
                assert_eq!(rate.bps(), Some(1_000_000));
                assert_eq!(rate.smooth_bps(), Some(1_000_000));
            }
        }
    }

    #[test]
    fn bursts_are_not_a_higher_rate() {
        // Ten packets together every 100 ms: 1 Mbit/s.
        let mut rate = AckedRate::default();
        for n in 0..400u64 {
            rate.on_packet(
                Duration::from_millis(100 * (n / 10)) + Duration::from_micros(n % 10),
                1250,
                false,
            );
        }
        let seen = rate.bps().unwrap();
        assert!((950_000..=1_050_000).contains(&seen), "{seen}");
    }

    #[test]
    fn follows_a_step_within_its_window() {
        let mut rate = AckedRate::default();
        let mut at = Duration::ZERO;
        for gap_ms in std::iter::repeat_n(4, 200).chain(std::iter::repeat_n(16, 12)) {
            at += Duration::from_millis(gap_ms);
            rate.on_packet(at, 1250, false);
        }
        // 16 ms × 12 = 192 ms at a quarter of the rate.
        assert_eq!(rate.bps(), Some(625_000));
        assert!(rate.smooth_bps().unwrap() > 1_200_000);
    }

    #[test]
    fn reordering_changes_nothing_by_much_and_a_jump_starts_afresh() {
        let mut rate = AckedRate::default();
        for n in 0..100u64 {
            rate.on_packet(Duration::from_millis(10 * (n ^ 1)), 1250, false);
        }
        let seen = rate.smooth_bps().unwrap();
        assert!((930_000..=1_070_000).contains(&seen), "{seen}");
        rate.on_packet(Duration::from_secs(500), 1250, false);
        assert_eq!(rate.bps(), None);
        rate.on_packet(Duration::from_secs(1), usize::MAX, false);
        assert_eq!(rate.bps(), None);
    }

    #[test]
    fn missing_feedback_is_not_a_lower_rate() {
        let mut rate = AckedRate::default();
        for n in (0..200u64).filter(|n| n % 15 < 10) {
            rate.on_packet(Duration::from_millis(10 * n), 1250, n % 15 == 0);
        }
        assert_eq!(rate.smooth_bps(), Some(1_000_000));
        assert_eq!(rate.bps(), Some(1_000_000));
    }

    #[test]
    fn bins_are_bounded() {
        let mut rate = AckedRate::default();
        for n in 0..100_000u64 {
            rate.on_packet(Duration::from_micros(100 * n), 1250, false);
            assert!(rate.bins.len() <= limits::ACKNOWLEDGED_BINS_MAX + 1);
        }
    }
}
