//! How busy a worker was over the last second.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What is looked back at.
const WINDOW: Duration = Duration::from_secs(1);

/// Samples of a clock that runs while the worker is busy.
#[derive(Debug, Default)]
pub(super) struct LoadMeter(VecDeque<(Instant, u64)>);

impl LoadMeter {
    /// Notes that the worker had been busy for `busy_ns` nanoseconds in all at `now`, and returns
    /// its share of the time since the sample that is nearest to a second old: 0 to 1.
    pub(super) fn sample(&mut self, now: Instant, busy_ns: u64) -> f32 {
        // Two samples are kept beyond the window's start at most; those between are few, for
        // whoever calls this does so at intervals.
        while self.0.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WINDOW) {
            self.0.pop_front();
        }
        let (since, busy_since) = self.0.front().copied().unwrap_or((now, busy_ns));
        self.0.push_back((now, busy_ns));
        let passed = now.saturating_duration_since(since).as_secs_f32();
        if passed <= 0.0 {
            return 0.0;
        }
        let busy = Duration::from_nanos(busy_ns.saturating_sub(busy_since)).as_secs_f32();
        (busy / passed).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_the_busy_share_of_the_last_second() {
        let start = Instant::now();
        let mut meter = LoadMeter::default();
        let mut busy = 0;
        let mut load = 0.0;
        for step in 0..50_u32 {
            // Idle for five seconds, then busy for half the time.
            busy += if step < 25 { 0 } else { 100_000_000 };
            load = meter.sample(start + step * Duration::from_millis(200), busy);
            match step {
                0..25 => assert_eq!(load, 0.0),
                29.. => assert!((load - 0.5).abs() < 0.01, "{load} at step {step}"),
                _ => assert!(load > 0.0 && load <= 0.51, "{load} at step {step}"),
            }
        }
        assert!(load > 0.4);
        assert!(meter.0.len() <= 7);
    }
}
