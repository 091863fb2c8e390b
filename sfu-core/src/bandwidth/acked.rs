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
}

#[derive(Clone, Copy, Debug)]
struct Bin {
    first: Duration,
    last: Duration,
    bytes: u64,
    /// Nothing is known of the time before it.
    is_behind_gap: bool,
}

impl AckedRate {
    /// Takes a packet that arrived. Packets may have overtaken each other. `is_behind_gap`: what
    /// was sent before it is not known to have arrived or not.
    pub fn on_packet(&mut self, arrival: Duration, bytes: usize, is_behind_gap: bool) {
        let bytes = bytes as u64;
        let bin = Bin { first: arrival, last: arrival, bytes, is_behind_gap };
        let Some(newest) = self.bins.back_mut() else {
            self.bins.push_back(bin);
            return;
        };
        if arrival.abs_diff(newest.last) > JUMP {
            self.bins.clear();
            self.bins.push_back(bin);
        } else if arrival <= newest.last {
            // Overtaken on the way; which bin it is added to makes no difference to a sum.
            newest.bytes = newest.bytes.saturating_add(bytes);
        } else if arrival - newest.first < BIN && !is_behind_gap {
            newest.last = arrival;
            newest.bytes = newest.bytes.saturating_add(bytes);
        } else {
            self.bins.push_back(bin);
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
        self.bins.back().map(|bin| bin.last)
    }

    /// Forgets everything, as after a silence or on a new path.
    pub fn reset(&mut self) {
        self.bins.clear();
    }

    /// Bytes behind the first bin of the window, by the time from it to the last. Where feedback
    /// is missing, neither the time nor the packet that ends it counts.
    fn over(&self, window: Duration) -> Option<u64> {
        let newest = self.bins.back()?;
        let (mut bytes, mut span) = (0u64, Duration::ZERO);
        let mut later = newest;
        for (bins, bin) in self.bins.iter().rev().enumerate().skip(1) {
            if !later.is_behind_gap {
                bytes = bytes.saturating_add(later.bytes);
                span += later.last.saturating_sub(bin.last);
            }
            later = bin;
            if span >= window && bins >= BINS_MIN {
                break;
            }
        }
        // Half a window says little of a rate; the start of a stream is not a rate at all.
        if span < WINDOW / 2 {
            return None;
        }
        let bits = u128::from(bytes) * 8;
        let bps = bits * 1_000_000 / span.as_micros().max(1);
        Some(u64::try_from(bps).unwrap_or(u64::MAX))
    }

    fn forget_old(&mut self, now: Duration) {
        while let Some(oldest) = self.bins.front()
            && (now.saturating_sub(oldest.last) > WINDOW_MAX
                || self.bins.len() > limits::ACKNOWLEDGED_BINS_MAX)
        {
            self.bins.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
