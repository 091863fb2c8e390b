//! [`Bottleneck`]: a capacity that changes over time, and a drop-tail queue before it. One link may
//! have it, or several may share it, with [`cross`](crate::cross) traffic beside them.

use std::collections::VecDeque;
use std::time::Duration;

use crate::link::Rate;

/// UDP and IPv4 headers cost capacity too.
const HEADERS: usize = 28;

/// A shared bottleneck's place in its world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BottleneckId(pub(crate) usize);

impl BottleneckId {
    /// The bottleneck that was added to its world as the `n`-th, from 0.
    #[must_use]
    pub const fn nth(n: usize) -> Self {
        Self(n)
    }
}

/// A queue and what drains it.
#[derive(Clone, Debug)]
pub struct Bottleneck {
    /// From each of these times on, in rising order; unlimited without a rate.
    rates: Vec<(Duration, Option<Rate>)>,
    /// The step that holds.
    at: usize,
    /// When each datagram in the queue will have left it, and its length.
    queue: VecDeque<(Duration, usize)>,
    queued_bytes: usize,
}

impl Bottleneck {
    /// A bottleneck with these rates from these times on, of which the first is zero.
    #[must_use]
    pub fn new(rates: Vec<(Duration, Option<Rate>)>) -> Self {
        Self { rates, at: 0, queue: VecDeque::new(), queued_bytes: 0 }
    }

    /// Replaces the rates; what is in the queue leaves it as was foreseen.
    pub fn set_rates(&mut self, rates: Vec<(Duration, Option<Rate>)>) {
        self.rates = rates;
        self.at = 0;
    }

    /// Time that what is in the queue now takes to leave it.
    #[must_use]
    pub fn wait(&self, now: Duration) -> Duration {
        self.queue.back().map_or(Duration::ZERO, |(leaves, _)| leaves.saturating_sub(now))
    }

    /// Takes a datagram. Gives when its last bit has left; `None` if the queue is full.
    pub fn pass(&mut self, now: Duration, bytes: usize) -> Option<Duration> {
        while self.rates.get(self.at + 1).is_some_and(|(from, _)| *from <= now) {
            self.at += 1;
        }
        while let Some(&(leaves, bytes)) = self.queue.front()
            && leaves <= now
        {
            self.queue.pop_front();
            self.queued_bytes -= bytes;
        }
        let rate = self.rates[self.at].1;
        let start = self.queue.back().map_or(now, |&(leaves, _)| leaves.max(now));
        let Some(rate) = rate else { return Some(start) };
        let capacity_bits =
            u128::from(rate.bits_per_second) * rate.queue.as_nanos() / 1_000_000_000;
        if self.queued_bytes as u128 * 8 > capacity_bits {
            return None;
        }
        let bytes = bytes + HEADERS;
        let leaves = self.serve(start, bytes as u64 * 8);
        self.queue.push_back((leaves, bytes));
        self.queued_bytes += bytes;
        Some(leaves)
    }

    /// When so many bits have gone if they begin at `start`, over all changes of the rate.
    fn serve(&self, start: Duration, bits: u64) -> Duration {
        let (mut start, mut bits) = (start, u128::from(bits));
        let mut at = self.at;
        loop {
            while self.rates.get(at + 1).is_some_and(|(from, _)| *from <= start) {
                at += 1;
            }
            let Some(rate) = self.rates[at].1 else { return start };
            let rate = u128::from(rate.bits_per_second.max(1));
            let nanos = bits * 1_000_000_000 / rate;
            let done = start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX / 4));
            match self.rates.get(at + 1) {
                Some(&(change, _)) if change < done => {
                    bits -= rate * (change - start).as_nanos() / 1_000_000_000;
                    start = change;
                }
                _ => return done,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_datagram_in_transit_feels_the_rate_change() {
        let rate = |kbit| Some(Rate::kbit(kbit, 1000));
        let steps = vec![(Duration::ZERO, rate(1000)), (MS * 5, rate(100)), (MS * 100, rate(1000))];
        let mut bottleneck = Bottleneck::new(steps);
        // 1250 bytes on the wire are 10 ms at 1 Mbit/s: half of them are gone when it slows down.
        assert_eq!(bottleneck.pass(Duration::ZERO, 1222), Some(MS * 55));
        assert_eq!(bottleneck.wait(MS * 20), MS * 35);
        assert_eq!(bottleneck.pass(MS * 50, 1222), Some(MS * 100 + Duration::from_micros(5_500)));
    }

    #[test]
    fn a_full_queue_drops_by_bytes() {
        let mut bottleneck = Bottleneck::new(vec![(Duration::ZERO, Some(Rate::kbit(1000, 20)))]);
        let passed = (0..10).filter(|_| bottleneck.pass(Duration::ZERO, 1222).is_some()).count();
        // 20 ms are 2500 bytes: two fit, and a third one finds it not yet over the brim.
        assert_eq!(passed, 3);
        assert!(bottleneck.pass(MS * 30, 1222).is_some(), "empty again");
    }
}
