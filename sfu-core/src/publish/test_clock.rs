//! The only clock of these tests: read once, then moved by hand.

use std::time::{Duration, Instant};

/// Some moment.
#[allow(clippy::disallowed_methods, reason = "tests need an origin; only differences matter")]
pub(crate) fn origin() -> Instant {
    Instant::now()
}

pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
