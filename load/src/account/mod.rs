//! What arrived: [`Stream`] keeps one received SSRC, [`Counters`] and [`Delays`] sum up a thread.

mod counters;
mod sources;
mod stream;

pub use counters::{Counters, Delays};
pub use sources::{Source, Sources};
pub use stream::{Arrival, Stream, StreamReport};
