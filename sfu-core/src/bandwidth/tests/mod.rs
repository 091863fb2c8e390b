//! The estimator in a closed loop: a source that takes all it is given, a pacer, one bottleneck,
//! feedback. Virtual time, one seed.

mod closed_loop;
mod stalls;
mod world;

use std::time::Instant;

/// Some moment.
#[allow(clippy::disallowed_methods, reason = "tests need an origin; only differences matter")]
pub(super) fn origin() -> Instant {
    Instant::now()
}
