//! Whether the application sends much less than the path carries (the application-limited region):
//! what arrives then says little of what would.

use std::time::{Duration, Instant};

/// Sending less than this of the estimate …
const USED_MAX: f64 = 0.65;
/// … builds up a budget of so long, …
const WINDOW: Duration = Duration::from_millis(500);
/// … which is full enough here to enter, …
const ENTER: f64 = 0.80;
/// … and empty enough here to leave.
const LEAVE: f64 = 0.50;

/// A budget in bytes that fills with time and empties with what is sent.
#[derive(Debug)]
pub struct Alr {
    bps: u64,
    /// Between minus and plus a window's worth.
    budget: f64,
    updated: Instant,
    since: Option<Instant>,
}

impl Alr {
    /// Starts out with the estimate.
    #[must_use]
    pub fn new(now: Instant, estimate_bps: u64) -> Self {
        Self { bps: estimate_bps, budget: 0.0, updated: now, since: None }
    }

    /// The estimate has changed.
    pub fn set_estimate(&mut self, bps: u64) {
        self.bps = bps;
    }

    /// Media was sent; probes' filling does not count.
    pub fn on_sent(&mut self, now: Instant, bytes: usize) {
        self.fill(now);
        self.budget -= bytes as f64;
        self.judge(now);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.fill(now);
        self.judge(now);
    }

    /// Since when, if it is so.
    #[must_use]
    pub fn since(&self) -> Option<Instant> {
        self.since
    }

    fn fill(&mut self, now: Instant) {
        let mut elapsed = 0.0;
        // Packets leave in bursts.
        if self.updated < now {
            elapsed = now.saturating_duration_since(self.updated).as_secs_f64();
            self.updated = now;
        }
        // What was left over is not saved up: a pause does not pay for a burst.
        let earned = USED_MAX * self.bps as f64 / 8.0 * elapsed;
        self.budget += earned;
        let most = self.window_bytes();
        self.budget = self.budget.clamp(-most, most);
    }

    fn judge(&mut self, now: Instant) {
        let most = self.window_bytes();
        self.budget = self.budget.clamp(-most, most);
        let level = self.budget / most;
        if level > ENTER && self.since.is_none() {
            self.since = Some(now);
        } else if level < LEAVE {
            self.since = None;
        }
    }

    fn window_bytes(&self) -> f64 {
        (USED_MAX * self.bps as f64 / 8.0 * WINDOW.as_secs_f64()).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bandwidth::tests::origin;

    /// Sends `bps` in packets for a while, at an estimate of 1 Mbit/s.
    fn send(alr: &mut Alr, now: &mut Instant, bps: u64, ms: u64) {
        for _ in 0..ms / 10 {
            *now += Duration::from_millis(10);
            alr.on_sent(*now, (bps / 800) as usize);
        }
    }

    #[test]
    fn enters_below_two_thirds_and_leaves_above() {
        let mut now = origin();
        let mut alr = Alr::new(now, 1_000_000);
        send(&mut alr, &mut now, 1_000_000, 2000);
        assert_eq!(alr.since(), None);
        send(&mut alr, &mut now, 700_000, 5000);
        assert_eq!(alr.since(), None, "most of it is used");
        send(&mut alr, &mut now, 150_000, 3000);
        assert!(alr.since().is_some());
        send(&mut alr, &mut now, 640_000, 5000);
        assert!(alr.since().is_some(), "still less than two thirds");
        send(&mut alr, &mut now, 900_000, 2000);
        assert_eq!(alr.since(), None);
    }

    #[test]
    fn silence_is_the_application_s_too() {
        let now = origin();
        let mut alr = Alr::new(now, 1_000_000);
        alr.handle_timeout(now + Duration::from_millis(600));
        assert_eq!(alr.since(), Some(now + Duration::from_millis(600)));
    }

    #[test]
    fn a_keyframe_does_not_end_it() {
        let mut now = origin();
        let mut alr = Alr::new(now, 3_000_000);
        send(&mut alr, &mut now, 150_000, 3000);
        alr.on_sent(now, 15_000);
        assert!(alr.since().is_some());
    }
}
