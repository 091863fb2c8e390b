//! What a receiver makes of the packets of one m-line: whether they form frames, whether those can
//! be decoded, by the publisher's stamps and by the codec's own account, and how smoothly they
//! follow each other.

mod claims;
mod playout;
pub mod quality;
mod series;
#[cfg(test)]
mod tests;
mod truth;

pub(crate) use playout::{Packet, Playout, note_gap};
pub(crate) use series::Series;
pub use series::{Second, Shown};
