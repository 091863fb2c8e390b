//! What the path carried when it was last full, and how sure that is.

/// Weight of what is seen at an overuse, …
const WEIGHT_OVERUSE: f64 = 0.2;
/// … and of what a probe has shown.
const WEIGHT_PROBE: f64 = 0.5;
/// Bounds of the variance in units of the mean, both in kbit/s: how uncertain it is at least, and
/// how far its band may reach at most.
const VARIANCE_MIN: f64 = 0.4;
const VARIANCE_MAX: f64 = 2.5;
/// Standard deviations that what is seen may be off before the ceiling is forgotten.
const BAND: f64 = 3.0;

/// A smoothed capacity. Rates in bit/s.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ceiling {
    mean_kbps: Option<f64>,
    variance: f64,
}

impl Ceiling {
    /// The path was full at this rate.
    pub fn on_overuse(&mut self, bps: u64) {
        if self.mean_kbps.is_some() && !self.holds(bps) {
            self.forget();
        }
        self.add(bps, WEIGHT_OVERUSE);
    }

    /// A probe has found this.
    pub fn on_probe(&mut self, bps: u64) {
        if self.mean_kbps.is_some() && !self.holds(bps) {
            self.forget();
        }
        self.add(bps, WEIGHT_PROBE);
    }

    /// The capacity, if one is known.
    #[must_use]
    pub fn bps(&self) -> Option<u64> {
        self.mean_kbps.map(|kbps| (kbps * 1000.0) as u64)
    }

    /// Whether `bps` is within what the capacity may be.
    #[must_use]
    pub fn holds(&self, bps: u64) -> bool {
        self.mean_kbps.is_some_and(|mean| (kbps(bps) - mean).abs() <= self.reach(mean))
    }

    /// Whether `bps` is more than the capacity can be.
    #[must_use]
    pub fn is_below(&self, bps: u64) -> bool {
        self.mean_kbps.is_some_and(|mean| kbps(bps) > mean + self.reach(mean))
    }

    /// Whether `bps` is near the capacity or above it.
    #[must_use]
    pub fn is_near(&self, bps: u64) -> bool {
        self.mean_kbps.is_some_and(|mean| kbps(bps) >= mean - self.reach(mean))
    }

    /// Nothing is known any more.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    fn add(&mut self, bps: u64, weight: f64) {
        let seen = kbps(bps);
        let Some(mean) = self.mean_kbps else {
            (self.mean_kbps, self.variance) = (Some(seen), VARIANCE_MIN);
            return;
        };
        let error = seen - mean;
        let mean = mean + weight * error;
        let variance = (1.0 - weight) * self.variance + weight * error * error / mean.max(1.0);
        self.mean_kbps = Some(mean);
        self.variance = variance.clamp(VARIANCE_MIN, VARIANCE_MAX);
    }

    fn reach(&self, mean: f64) -> f64 {
        BAND * (self.variance * mean).max(0.0).sqrt()
    }
}

fn kbps(bps: u64) -> f64 {
    bps as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_forgotten_when_what_is_seen_is_something_else() {
        let mut ceiling = Ceiling::default();
        assert_eq!(
            (ceiling.bps(), ceiling.holds(0), ceiling.is_below(u64::MAX)),
            (None, false, false)
        );
        ceiling.on_overuse(1_000_000);
        assert_eq!(ceiling.bps(), Some(1_000_000));
        // 3 × √(0.4 × 1000) = 60 kbit/s.
        for (bps, near, holds, below) in [
            (900_000, false, false, false),
            (950_000, true, true, false),
            (1_050_000, true, true, false),
            (1_070_000, true, false, true),
        ] {
            let seen = (ceiling.is_near(bps), ceiling.holds(bps), ceiling.is_below(bps));
            assert_eq!(seen, (near, holds, below), "{bps}");
        }
        ceiling.on_overuse(1_040_000);
        assert_eq!(ceiling.bps(), Some(1_008_000));
        ceiling.on_overuse(600_000);
        assert_eq!(ceiling.bps(), Some(600_000));
        ceiling.on_probe(630_000);
        assert_eq!(ceiling.bps(), Some(615_000));
    }
}
