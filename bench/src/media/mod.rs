//! Synthetic media: valid VP8 and Opus RTP payloads that carry a [`Stamp`] instead of a picture.

mod source;
mod stamp;
mod vp8;

pub use source::{AudioSource, VideoPlan, VideoSource};
pub use stamp::{STAMP_BYTES, Stamp, wall_clock_us};
pub use vp8::Vp8View;
