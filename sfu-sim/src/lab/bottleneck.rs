//! A bottleneck that several flows share: a rate that changes over time, a drop-tail queue, and
//! behind it losses, jitter and reordering.
//!
//! The rate's whole course is known beforehand, so when a packet leaves is known when it enters:
//! the queue needs no events of its own, and is exact across changes of the rate.

use std::time::Duration;

use crate::link::{Conditions, Link, LinkPlan, Loss};

const SECOND_NANOS: u128 = 1_000_000_000;

/// How a bottleneck behaves.
#[derive(Clone, Debug)]
pub struct BottleneckPlan {
    /// Capacity in bit/s of IP packets, from each of these times on, the first at zero. Empty:
    /// unlimited.
    pub capacity: Vec<(Duration, u64)>,
    /// What would wait longer, at the present rate, is dropped.
    pub queue: Duration,
    /// Random or bursty losses, behind the queue: what is lost has used capacity.
    pub loss: Loss,
    /// Added delay behind the queue, uniform between none and this; the order is kept.
    pub jitter: Duration,
    /// Probability of being held back by `reorder_by`.
    pub reorder: f64,
    /// See `reorder`.
    pub reorder_by: Duration,
}

impl BottleneckPlan {
    /// A faultless one with the queue of RFC 8867 §5 (300 ms).
    #[must_use]
    pub fn new(capacity: Vec<(Duration, u64)>) -> Self {
        Self {
            capacity,
            queue: Duration::from_millis(300),
            loss: Loss::None,
            jitter: Duration::ZERO,
            reorder: 0.0,
            reorder_by: Duration::ZERO,
        }
    }

    /// Capacity at `at`, bit/s; `None` if unlimited.
    #[must_use]
    pub fn rate(&self, at: Duration) -> Option<u64> {
        let step = self.capacity.iter().rev().find(|(from, _)| *from <= at);
        step.or(self.capacity.first()).map(|&(_, rate)| rate)
    }

    /// Bits that can pass between two times; zero if unlimited.
    #[must_use]
    pub fn bits_between(&self, mut from: Duration, until: Duration) -> u64 {
        let mut bits = 0;
        while from < until {
            let Some(rate) = self.rate(from) else { return 0 };
            let end = self.next_step(from).map_or(until, |step| step.min(until));
            bits += bits_in(rate, end - from);
            from = end;
        }
        bits
    }

    fn next_step(&self, after: Duration) -> Option<Duration> {
        self.capacity.iter().map(|&(from, _)| from).find(|&from| from > after)
    }

    /// When the last of so many bits has passed that start at `at`.
    fn finish(&self, mut at: Duration, mut bits: u64) -> Duration {
        loop {
            let Some(rate) = self.rate(at) else { return at };
            let needed = time_for(rate, bits);
            match self.next_step(at) {
                Some(step) if at + needed > step => {
                    bits -= bits_in(rate, step - at).min(bits);
                    at = step;
                }
                _ => return at + needed,
            }
        }
    }
}

fn bits_in(rate: u64, time: Duration) -> u64 {
    u64::try_from(u128::from(rate) * time.as_nanos() / SECOND_NANOS).unwrap_or(u64::MAX)
}

fn time_for(rate: u64, bits: u64) -> Duration {
    let nanos = u128::from(bits) * SECOND_NANOS / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It leaves the bottleneck at `at`, after it has waited for others.
    Through {
        /// When its last bit has left, faults included.
        at: Duration,
        /// How long it waited behind others.
        waited: Duration,
    },
    /// Lost behind the queue.
    Lost {
        /// How long it waited behind others.
        waited: Duration,
    },
    /// The queue was full.
    Dropped,
}

/// A bottleneck at work.
#[derive(Debug)]
pub struct Bottleneck {
    plan: BottleneckPlan,
    busy_until: Duration,
    faults: Link,
}

impl Bottleneck {
    /// One that draws its faults from `seed`.
    #[must_use]
    pub fn new(plan: BottleneckPlan, seed: u64, lane: u64) -> Self {
        let conditions = Conditions {
            delay: Duration::ZERO,
            jitter: plan.jitter,
            loss: plan.loss,
            reorder: plan.reorder,
            reorder_by: plan.reorder_by,
            ..Conditions::default()
        };
        let faults = Link::seeded(LinkPlan::from(conditions), seed, lane);
        Self { plan, busy_until: Duration::ZERO, faults }
    }

    /// How long a packet that came now would wait.
    #[must_use]
    pub fn wait(&self, now: Duration) -> Duration {
        self.busy_until.saturating_sub(now)
    }

    /// Takes a packet of so many bytes at the IP level.
    pub fn send(&mut self, now: Duration, bytes: u32) -> Passage {
        let start = self.busy_until.max(now);
        let waited = start - now;
        let mut leaves = now;
        if let Some(rate) = self.plan.rate(now) {
            // The limit is a number of bytes, so the wait is counted at the present rate.
            if time_for(rate, self.plan.bits_between(now, start)) > self.plan.queue {
                return Passage::Dropped;
            }
            leaves = self.plan.finish(start, u64::from(bytes) * 8);
            self.busy_until = leaves;
        }
        match self.faults.send(leaves, bytes as usize, None)[0] {
            Some(at) => Passage::Through { at, waited },
            None => Passage::Lost { waited },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn through(passage: Passage) -> (Duration, Duration) {
        match passage {
            Passage::Through { at, waited } => (at, waited),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn packets_leave_at_the_rate_and_wait_for_those_before() {
        // 1000 bytes are 8 ms at 1 Mbit/s.
        let plan = BottleneckPlan::new(vec![(Duration::ZERO, 1_000_000)]);
        let mut bottleneck = Bottleneck::new(plan, 1, 1);
        for i in 0..5 {
            assert_eq!(through(bottleneck.send(ms(0), 1000)), (ms(8 * (i + 1)), ms(8 * i)));
        }
        assert_eq!(bottleneck.wait(ms(10)), ms(30));
        assert_eq!(through(bottleneck.send(ms(100), 1000)), (ms(108), ms(0)));
    }

    #[test]
    fn a_full_queue_drops_exactly_what_would_wait_too_long() {
        let plan = BottleneckPlan {
            queue: ms(40),
            ..BottleneckPlan::new(vec![(Duration::ZERO, 1_000_000)])
        };
        let mut bottleneck = Bottleneck::new(plan, 1, 1);
        let passages: Vec<_> = (0..10).map(|_| bottleneck.send(ms(0), 1000)).collect();
        let kept = passages.iter().filter(|passage| **passage != Passage::Dropped).count();
        // Waits of 0, 8 … 40 ms are allowed.
        assert_eq!(kept, 6);
        assert_eq!(passages[6..], [Passage::Dropped; 4]);
        // One has left: one more fits.
        assert_eq!(through(bottleneck.send(ms(8), 1000)), (ms(56), ms(40)));
        assert_eq!(bottleneck.send(ms(8), 1000), Passage::Dropped);
    }

    #[test]
    fn a_change_of_rate_in_the_middle_of_a_packet_counts_from_then() {
        let plan = BottleneckPlan::new(vec![(Duration::ZERO, 1_000_000), (ms(4), 2_000_000)]);
        assert_eq!(plan.bits_between(ms(0), ms(6)), 4_000 + 4_000);
        let mut bottleneck = Bottleneck::new(plan, 1, 1);
        // Half of it in 4 ms at the first rate, the rest in 2 ms at the second.
        assert_eq!(through(bottleneck.send(ms(0), 1000)), (ms(6), ms(0)));
        assert_eq!(through(bottleneck.send(ms(0), 1000)), (ms(10), ms(6)));
    }

    #[test]
    fn losses_use_capacity() {
        let plan = BottleneckPlan {
            loss: Loss::Random(1.0),
            ..BottleneckPlan::new(vec![(Duration::ZERO, 1_000_000)])
        };
        let mut bottleneck = Bottleneck::new(plan, 1, 1);
        assert_eq!(bottleneck.send(ms(0), 1000), Passage::Lost { waited: ms(0) });
        assert_eq!(bottleneck.send(ms(0), 1000), Passage::Lost { waited: ms(8) });
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let mut bottleneck = Bottleneck::new(BottleneckPlan::new(Vec::new()), 1, 1);
        for _ in 0..100 {
            assert_eq!(through(bottleneck.send(ms(5), 1000)), (ms(5), ms(0)));
        }
    }
}
