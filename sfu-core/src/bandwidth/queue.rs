//! How long packets wait on the way: their one-way delay above the least of the last seconds. The
//! clocks of both ends may differ by any amount, and drift by what clocks do.

use std::collections::VecDeque;
use std::time::Duration;

use super::groups::{Times, difference};

/// What the least delay is kept of: long enough to see our own queues empty, short enough that a
/// path which became longer, or shares its queue from now on, is soon taken as it is.
const BASE_BUCKETS: usize = 10;
const BUCKET: Duration = Duration::from_secs(1);
/// The present delay is the least of this long: what jitter adds is not queue.
const PRESENT: Duration = Duration::from_millis(50);

/// Follows the delay of one path.
#[derive(Debug, Default)]
pub struct QueueDelay {
    /// The least delay of each second, in seconds of the difference of the clocks, oldest first.
    base: VecDeque<(Duration, f64)>,
    /// Delays of the last moments that no later one undercuts: ascending.
    present: VecDeque<(Duration, f64)>,
}

impl QueueDelay {
    /// Takes a packet that arrived.
    pub fn on_packet(&mut self, times: Times) {
        let delay = difference(times.arrival, times.departure);
        let now = times.departure;
        match self.base.back_mut() {
            Some((start, least)) if now < *start + BUCKET => *least = least.min(delay),
            _ => self.base.push_back((now, delay)),
        }
        while self.base.len() > BASE_BUCKETS {
            self.base.pop_front();
        }
        while self.present.back().is_some_and(|&(_, later)| later >= delay) {
            self.present.pop_back();
        }
        self.present.push_back((now, delay));
        while self.present.front().is_some_and(|&(at, _)| at + PRESENT < now) {
            self.present.pop_front();
        }
    }

    /// How long packets have waited of late.
    #[must_use]
    pub fn delay(&self) -> Duration {
        let Some(&(_, present)) = self.present.front() else { return Duration::ZERO };
        self.above_base(present)
    }

    /// How long the last packet has waited: jitter included.
    #[must_use]
    pub fn last(&self) -> Duration {
        let Some(&(_, last)) = self.present.back() else { return Duration::ZERO };
        self.above_base(last)
    }

    fn above_base(&self, delay: f64) -> Duration {
        let base = self.base.iter().map(|&(_, least)| least).fold(delay, f64::min);
        Duration::try_from_secs_f64(delay - base).unwrap_or(Duration::ZERO)
    }

    /// Forgets everything, as on a new path.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(queue: &mut QueueDelay, from_ms: u64, to_ms: u64, delay_ms: impl Fn(u64) -> u64) {
        for at in (from_ms..to_ms).step_by(10) {
            queue.on_packet(Times {
                departure: Duration::from_millis(at),
                arrival: Duration::from_millis(1_000_000 + at + delay_ms(at)),
            });
        }
    }

    #[test]
    fn waiting_is_what_comes_on_top_of_the_shortest_way() {
        let mut queue = QueueDelay::default();
        assert_eq!(queue.delay(), Duration::ZERO);
        feed(&mut queue, 0, 1000, |_| 50);
        assert_eq!(queue.delay(), Duration::ZERO);
        feed(&mut queue, 1000, 2000, |_| 130);
        assert!(queue.delay().abs_diff(Duration::from_millis(80)) < Duration::from_micros(10));
        feed(&mut queue, 2000, 2020, |_| 150);
        assert!(queue.delay().abs_diff(Duration::from_millis(80)) < Duration::from_micros(10));
        assert!(queue.last().abs_diff(Duration::from_millis(100)) < Duration::from_micros(10));
    }

    #[test]
    fn the_shortest_way_is_the_least_of_a_second_not_the_last() {
        let mut queue = QueueDelay::default();
        feed(&mut queue, 0, 1000, |at| 50 + at / 10 % 2 * 40);
        feed(&mut queue, 1000, 2000, |_| 130);
        assert!(queue.delay().abs_diff(Duration::from_millis(80)) < Duration::from_micros(10));
    }

    #[test]
    fn jitter_is_not_waiting() {
        let mut queue = QueueDelay::default();
        feed(&mut queue, 0, 5000, |at| 50 + (at / 10 * 7) % 5 * 8);
        assert!(queue.delay() < Duration::from_millis(9), "{:?}", queue.delay());
    }

    #[test]
    fn a_longer_way_becomes_the_shortest_in_time() {
        let mut queue = QueueDelay::default();
        feed(&mut queue, 0, 3000, |_| 50);
        feed(&mut queue, 3000, 9000, |_| 250);
        assert!(queue.delay() > Duration::from_millis(190));
        feed(&mut queue, 9000, 14_000, |_| 250);
        assert!(queue.delay() < Duration::from_millis(1), "{:?}", queue.delay());
    }

    #[test]
    fn stays_small_whatever_the_clocks_say() {
        let mut queue = QueueDelay::default();
        feed(&mut queue, 0, 100_000, |at| at.wrapping_mul(2_654_435_761) % 1000);
        assert!(queue.base.len() <= BASE_BUCKETS);
        assert!(queue.present.len() <= 8);
    }
}
