//! Time as a number. To subtract one [`Instant`] from another costs a call into the standard library,
//! and many packets come or leave at one moment.

use std::time::Instant;

/// Counts from an epoch, and works out each moment once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elapsed {
    epoch: Instant,
    /// The moment that was last asked for, and what it came to.
    asked: Instant,
    micros: u64,
}

impl Elapsed {
    /// Counts from `epoch`.
    pub(crate) fn since(epoch: Instant) -> Self {
        Self { epoch, asked: epoch, micros: 0 }
    }

    /// Where it counts from.
    pub(crate) fn epoch(&self) -> Instant {
        self.epoch
    }

    /// Microseconds from the epoch to `now`; none if that is before it.
    #[inline]
    pub(crate) fn micros(&mut self, now: Instant) -> u64 {
        if now != self.asked {
            let elapsed = now.saturating_duration_since(self.epoch).as_micros();
            (self.asked, self.micros) = (now, u64::try_from(elapsed).unwrap_or(u64::MAX));
        }
        self.micros
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn any_moment_in_any_order_is_told_from_the_epoch() {
        #[allow(clippy::disallowed_methods, reason = "any instant will do as an origin")]
        let epoch = Instant::now() + Duration::from_secs(9);
        let mut elapsed = Elapsed::since(epoch);
        for micros in [0, 5, 5, 3, 7_000_000, 0, 2] {
            assert_eq!(elapsed.micros(epoch + Duration::from_micros(micros)), micros);
            assert_eq!(elapsed.micros(epoch + Duration::from_nanos(micros * 1000 + 999)), micros);
        }
        assert_eq!(elapsed.micros(epoch - Duration::from_secs(1)), 0);
        assert_eq!(elapsed.epoch(), epoch);
    }
}
