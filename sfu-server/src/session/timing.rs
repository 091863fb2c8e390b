//! How long joins take, and why layers change: what happens too seldom to be counted by the media
//! threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sfu_core::decision::Reason;

use super::forwarding::reason_name;

/// Upper bounds of the histogram of joins, in milliseconds: a join takes four round trips, and is
/// given up after half a minute.
const BOUNDS_MS: [u64; 11] = [50, 100, 200, 300, 500, 750, 1000, 2000, 5000, 10_000, 30_000];

/// Durations, counted by their size.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// One more than bounds: what is beyond the last.
    counts: [AtomicU64; BOUNDS_MS.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    pub(super) fn observe(&self, duration: Duration) {
        let bucket = BOUNDS_MS.partition_point(|ms| Duration::from_millis(*ms) < duration);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Upper bounds in seconds, each with how many were no longer; the last is infinite.
    pub(crate) fn cumulative(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS_MS.iter().map(|ms| *ms as f64 / 1e3).chain([f64::INFINITY]);
        let mut total = 0;
        let counts = self.counts.iter().map(|count| {
            total += count.load(Ordering::Relaxed);
            total
        });
        bounds.zip(counts).collect()
    }

    /// The sum of all durations, in seconds.
    pub(crate) fn sum(&self) -> f64 {
        self.sum_us.load(Ordering::Relaxed) as f64 / 1e6
    }
}

/// Changes of layer, by the reason that clients are given. No more entries than reasons.
#[derive(Debug)]
pub(crate) struct Switches(Mutex<BTreeMap<&'static str, u64>>);

impl Default for Switches {
    /// One entry from the start: a scrape without any would not be valid.
    fn default() -> Self {
        Self(Mutex::new([(reason_name(Reason::default()), 0)].into()))
    }
}

impl Switches {
    pub(super) fn count(&self, reason: Reason) {
        *self.0.lock().entry(reason_name(reason)).or_default() += 1;
    }

    pub(crate) fn by_reason(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_up_to_each_bound() {
        let histogram = Histogram::default();
        for ms in [10, 50, 51, 400, 60_000] {
            histogram.observe(Duration::from_millis(ms));
        }
        let cumulative = histogram.cumulative();
        assert_eq!(cumulative[0], (0.05, 2));
        assert_eq!(cumulative[1], (0.1, 3));
        assert_eq!(cumulative[4], (0.5, 4));
        assert_eq!(cumulative[10], (30.0, 4));
        assert_eq!(cumulative[11], (f64::INFINITY, 5));
        assert!((histogram.sum() - 60.511).abs() < 1e-9);
    }
}
