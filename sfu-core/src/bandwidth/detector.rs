//! Whether a trend is overuse: a threshold that follows the path
//! (draft-ietf-rmcat-gcc-02 §5.4; Carlucci et al., MMSys 2016).

use std::time::Duration;

use super::groups::difference;

/// Where the threshold starts, in ms of trend.
const THRESHOLD_START: f64 = 12.5;
const THRESHOLD_MIN: f64 = 6.0;
const THRESHOLD_MAX: f64 = 600.0;
/// How fast the threshold rises towards a trend above it, per ms. Slow, so that a queue of our own
/// is not taken for the path's nature; fast enough to hold out beside flows that fill queues.
const GAIN_UP: f64 = 0.0087;
/// How fast it falls towards one below it.
const GAIN_DOWN: f64 = 0.039;
/// A trend this far above the threshold is a sudden jump, and does not move it.
const JUMP: f64 = 15.0;
/// Longest time that one group may move the threshold for, in ms.
const STEP_MS_MAX: f64 = 100.0;
/// How long a trend stays above the threshold before it counts, in ms.
const OVERUSE_MS: f64 = 10.0;

/// What the delay says of the rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Usage {
    /// Queues neither grow nor shrink.
    #[default]
    Normal,
    /// Queues grow.
    Overuse,
    /// Queues shrink.
    Underuse,
}

/// Compares trends with the threshold.
#[derive(Debug)]
pub struct Detector {
    threshold: f64,
    last: Option<(Duration, f64)>,
    /// How long the trend has been above the threshold, in ms, and for how many groups.
    above_ms: f64,
    above_groups: u32,
    usage: Usage,
}

impl Default for Detector {
    fn default() -> Self {
        Self {
            threshold: THRESHOLD_START,
            last: None,
            above_ms: 0.0,
            above_groups: 0,
            usage: Usage::Normal,
        }
    }
}

impl Detector {
    /// Takes the trend at a time of the receiver's clock, `sent_s` after the group before.
    pub fn on_trend(&mut self, at: Duration, trend: f64, sent_s: f64) -> Usage {
        let (last_at, last_trend) = self.last.unwrap_or((at, trend));
        self.usage = self.judge(trend, last_trend, sent_s * 1000.0);
        let step_ms = (difference(at, last_at) * 1000.0).clamp(0.0, STEP_MS_MAX);
        self.adapt(trend, step_ms);
        self.last = Some((at, trend));
        self.usage
    }

    /// What the last trend said.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Forgets the trend but not the threshold, which is the path's.
    pub fn reset(&mut self) {
        *self = Self { threshold: self.threshold, ..Self::default() };
    }

    fn judge(&mut self, trend: f64, last_trend: f64, sent_ms: f64) -> Usage {
        if trend.abs() <= self.threshold {
            (self.above_ms, self.above_groups) = (0.0, 0);
            return Usage::Normal;
        }
        if trend < 0.0 {
            (self.above_ms, self.above_groups) = (0.0, 0);
            return Usage::Underuse;
        }
        // The threshold was crossed somewhere in the middle.
        let share = if self.above_groups == 0 { 0.5 } else { 1.0 };
        self.above_ms += share * sent_ms.max(0.0);
        self.above_groups += 1;
        if self.above_ms > OVERUSE_MS && self.above_groups > 1 && trend >= last_trend {
            (self.above_ms, self.above_groups) = (0.0, 0);
            return Usage::Overuse;
        }
        // Not for long enough, or already falling: what was said before stays said.
        self.usage
    }

    fn adapt(&mut self, trend: f64, step_ms: f64) {
        let distance = trend.abs() - self.threshold;
        if distance > JUMP || !distance.is_finite() {
            return;
        }
        let gain = if distance > 0.0 { GAIN_UP } else { GAIN_DOWN };
        self.threshold += gain * distance * step_ms;
        self.threshold = self.threshold.clamp(THRESHOLD_MIN, THRESHOLD_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(detector: &mut Detector, from_ms: u64, trends: &[f64]) -> Vec<Usage> {
        let times = (from_ms..).step_by(10).map(Duration::from_millis);
        let feed = |(at, &trend)| detector.on_trend(at, trend, 0.01);
        times.zip(trends).map(feed).collect()
    }

    #[test]
    fn overuse_takes_more_than_ten_milliseconds_and_a_trend_that_does_not_fall() {
        use Usage::{Normal, Overuse, Underuse};
        let table: [(&[f64], &[Usage]); 6] = [
            (&[0.0, 5.0, -5.0], &[Normal, Normal, Normal]),
            (&[20.0, 21.0], &[Normal, Overuse]),
            (&[20.0, 19.0, 18.0], &[Normal, Normal, Normal]),
            (&[20.0, 0.0, 20.0], &[Normal, Normal, Normal]),
            (&[-20.0, -30.0, 0.0], &[Underuse, Underuse, Normal]),
            (&[20.0, 21.0, 15.0, 0.0], &[Normal, Overuse, Overuse, Normal]),
        ];
        for (trends, expected) in table {
            assert_eq!(feed(&mut Detector::default(), 0, trends), expected, "{trends:?}");
        }
    }

    #[test]
    fn groups_close_together_take_more_of_them() {
        let mut detector = Detector::default();
        let mut at = Duration::ZERO;
        // 2 + 4 + 4 ms are not more than ten.
        let expected = [Usage::Normal, Usage::Normal, Usage::Normal, Usage::Overuse];
        for (trend, expected) in [20.0, 21.0, 22.0, 23.0].into_iter().zip(expected) {
            at += Duration::from_millis(4);
            assert_eq!(detector.on_trend(at, trend, 0.004), expected, "{trend}");
        }
    }

    #[test]
    fn the_threshold_falls_fast_and_rises_slowly_and_stays_in_bounds() {
        let mut detector = Detector::default();
        feed(&mut detector, 0, &[0.0; 100]);
        assert!((detector.threshold - THRESHOLD_MIN).abs() < 1e-9);

        // Trends a little above it lift it until they are the path's nature.
        let usages = feed(&mut detector, 1000, &[20.0; 400]);
        assert!(detector.threshold > 18.0, "{}", detector.threshold);
        assert_eq!(usages.first(), Some(&Usage::Normal));

        let before = detector.threshold;
        feed(&mut detector, 9000, &[1e9]);
        assert!((detector.threshold - before).abs() < 1e-9, "a jump is not the path");
        for n in 0..100_000 {
            let trend = detector.threshold + 10.0;
            detector.on_trend(Duration::from_millis(10_000 + 10 * n), trend, 0.01);
        }
        assert!(detector.threshold <= THRESHOLD_MAX);
    }

    #[test]
    fn no_number_gets_a_hold_of_the_threshold() {
        let mut detector = Detector::default();
        feed(&mut detector, 0, &[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0]);
        assert!(detector.threshold.is_finite());
    }
}
