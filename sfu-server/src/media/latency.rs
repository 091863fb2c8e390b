//! How long datagrams stay in a worker.

use std::time::Duration;

/// Upper bounds of the buckets, in microseconds: a turn of an idle worker takes some tens, one of a
/// busy worker milliseconds, and beyond 50 ms it is heard.
const BOUNDS_US: [u64; 11] = [50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 200_000];

/// From when a turn began, before it read, until what it sent was the kernel's: counted for each
/// datagram sent. What waits in a pacer is sent in a later turn and waits on purpose: that time is no
/// part of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latency {
    /// One more than bounds: what is beyond the last.
    counts: [u64; BOUNDS_US.len() + 1],
    sum_ns: u64,
}

impl Latency {
    /// So many datagrams took so long.
    pub(super) fn observe(&mut self, took: Duration, datagrams: u64) {
        let bucket = BOUNDS_US.partition_point(|us| Duration::from_micros(*us) < took);
        self.counts[bucket] += datagrams;
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.sum_ns = self.sum_ns.saturating_add(ns.saturating_mul(datagrams));
    }

    /// Those of both.
    pub(crate) fn merged(mut self, other: &Self) -> Self {
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, more)| *own += more);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self
    }

    /// Upper bounds in seconds, each with how many were no longer; the last is infinite.
    pub(crate) fn cumulative(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS_US.iter().map(|us| *us as f64 / 1e6).chain([f64::INFINITY]);
        let mut total = 0;
        let counts = self.counts.iter().map(|count| {
            total += count;
            total
        });
        bounds.zip(counts).collect()
    }

    /// The sum of all, in seconds.
    pub(crate) fn sum(&self) -> f64 {
        self.sum_ns as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_datagram_counts_in_its_bucket() {
        let mut latency = Latency::default();
        latency.observe(Duration::from_micros(50), 3);
        latency.observe(Duration::from_micros(51), 2);
        let mut other = Latency::default();
        other.observe(Duration::from_secs(1), 1);
        let both = latency.merged(&other).cumulative();
        assert_eq!((both[0], both[1]), ((0.000_05, 3), (0.0001, 5)));
        assert_eq!((both[10], both[11]), ((0.2, 5), (f64::INFINITY, 6)));
        let mut latency = Latency::default();
        latency.observe(Duration::from_millis(2), 5);
        assert!((latency.sum() - 0.01).abs() < 1e-9);
    }
}
