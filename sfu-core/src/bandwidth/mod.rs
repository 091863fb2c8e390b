//! What the path to a subscriber carries, and how that is shared out among what it wants.

pub mod allocate;
pub mod send_side;

pub use send_side::{BandwidthConfig, Departure, Probe, ProbeId, SendSide, SentKind};
