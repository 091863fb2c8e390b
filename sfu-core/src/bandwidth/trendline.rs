//! Whether queues grow: a line through the delays of late (libwebrtc's successor of the Kalman
//! filter of draft-ietf-rmcat-gcc-02 §5.3).

use std::collections::VecDeque;
use std::time::Duration;

use super::groups::{Spread, difference};

/// Points that the line is drawn through.
const WINDOW: usize = 20;
/// What is kept of the smoothed delay at each point.
const SMOOTHING: f64 = 0.9;
/// The slope is scaled with the number of groups seen, up to this, …
const GROUPS_MAX: u32 = 60;
/// … and by this, to the scale of the threshold.
const GAIN: f64 = 4.0;
const MILLISECONDS: f64 = 1000.0;

/// A regression over the accumulated, smoothed delay.
#[derive(Debug, Default)]
pub struct Trendline {
    /// Arrival and smoothed delay in ms, since the first group.
    points: VecDeque<(f64, f64)>,
    start: Option<Duration>,
    delay: f64,
    smoothed: f64,
    groups: u32,
}

impl Trendline {
    /// Takes a group; gives the trend in ms to be compared with the threshold, once there are
    /// points enough for a line.
    pub fn on_spread(&mut self, spread: &Spread) -> Option<f64> {
        let start = *self.start.get_or_insert(spread.at);
        self.groups = (self.groups + 1).min(GROUPS_MAX);
        self.delay += (spread.arrived - spread.sent) * MILLISECONDS;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.delay;
        if self.points.len() == WINDOW {
            self.points.pop_front();
        }
        self.points.push_back((difference(spread.at, start) * MILLISECONDS, self.smoothed));
        if self.points.len() < WINDOW {
            return None;
        }
        Some(f64::from(self.groups) * self.slope()? * GAIN)
    }

    /// Forgets the points, as after a silence, a burst of our own, or on a new path; what they count
    /// for is kept.
    pub fn reset(&mut self) {
        *self = Self { groups: self.groups, ..Self::default() };
    }

    /// By least squares; `None` if all points lie at one time.
    fn slope(&self) -> Option<f64> {
        let count = self.points.len() as f64;
        let mean_x = self.points.iter().map(|&(x, _)| x).sum::<f64>() / count;
        let mean_y = self.points.iter().map(|&(_, y)| y).sum::<f64>() / count;
        let (mut covariance, mut variance) = (0.0, 0.0);
        for &(x, y) in &self.points {
            covariance += (x - mean_x) * (y - mean_y);
            variance += (x - mean_x) * (x - mean_x);
        }
        (variance > 0.0).then(|| covariance / variance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds groups 10 ms apart of which the n-th is delayed by `delay_ms(n)`.
    fn trend(groups: u32, delay_ms: impl Fn(u32) -> f64) -> Option<f64> {
        let mut line = Trendline::default();
        let mut trend = None;
        for n in 1..=groups {
            let arrived = 10.0 + delay_ms(n) - delay_ms(n - 1);
            let at = Duration::from_secs_f64((10.0 * f64::from(n) + delay_ms(n)) / 1000.0);
            trend = line.on_spread(&Spread { sent: 0.01, arrived: arrived / 1000.0, at });
        }
        trend
    }

    #[test]
    fn says_nothing_before_its_window_is_full() {
        assert_eq!(trend(WINDOW as u32 - 1, |_| 0.0), None);
        assert_eq!(trend(WINDOW as u32, |_| 0.0), Some(0.0));
    }

    #[test]
    fn a_queue_that_grows_by_a_tenth_shows_its_slope_scaled() {
        // 1 ms in 11 ms on the receiver's clock; 60 groups; gain 4.
        let expected = 60.0 * 4.0 / 11.0;
        let seen = trend(200, f64::from).unwrap();
        assert!((seen - expected).abs() < 0.5, "{seen} for {expected}");
        let draining = trend(200, |n| -0.5 * f64::from(n)).unwrap();
        assert!(draining < -10.0, "{draining}");
    }

    #[test]
    fn a_standing_queue_is_no_trend() {
        let seen = trend(400, |n| if n < 100 { 0.0 } else { 80.0 }).unwrap();
        assert!(seen.abs() < 0.01, "{seen}");
    }

    #[test]
    fn points_at_one_time_give_no_line() {
        let mut line = Trendline::default();
        for _ in 0..50 {
            let spread = Spread { sent: 0.0, arrived: 0.0, at: Duration::from_secs(1) };
            assert_eq!(line.on_spread(&spread), None);
        }
    }

    #[test]
    fn forgets_on_reset() {
        let mut line = Trendline::default();
        for n in 0..50 {
            let at = Duration::from_millis(20 * n);
            line.on_spread(&Spread { sent: 0.01, arrived: 0.02, at });
        }
        line.reset();
        let at = Duration::from_secs(2);
        assert_eq!(line.on_spread(&Spread { sent: 0.01, arrived: 0.01, at }), None);
    }
}
