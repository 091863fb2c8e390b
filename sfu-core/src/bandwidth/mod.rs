//! What the path to a subscriber carries, and how that is shared out among what it wants.
//!
//! [`SendSide`] is what the engine uses; the rest is one idea a file. [`record`] remembers what was
//! sent and [`feedback`] reads what is said of it. [`Estimator`] makes a rate of both: [`stall`]
//! takes out what was only read late, [`groups`], [`trendline`] and [`detector`] see queues grow, [`queue`] how long they are, [`acked`] what
//! arrives, [`aimd`] below its [`ceiling`] draws the conclusion, unless [`rivals`] keep the queue
//! full, and [`loss`] caps it. [`prober`] decides when to try for more, [`probe`] what came of it,
//! [`alr`] whether little is sent by choice.

pub mod acked;
pub mod aimd;
pub mod allocate;
pub mod alr;
pub mod ceiling;
pub mod detector;
pub mod estimator;
pub mod feedback;
pub mod groups;
pub mod loss;
pub mod probe;
pub mod prober;
pub mod queue;
pub mod record;
pub mod rivals;
pub mod send_side;
pub mod stall;
pub mod trendline;

pub use estimator::Estimator;
pub use send_side::{BandwidthConfig, Departure, Probe, ProbeId, SendSide, SentKind};

#[cfg(test)]
mod tests;
