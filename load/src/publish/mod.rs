//! What is published: packets built in advance, stamped and sealed when they are due, on a thread
//! of their own that keeps a schedule whatever the receivers do.

mod camera;
mod microphone;
mod port;
mod stage;

pub use camera::{Camera, Layer, VideoPlan};
pub use microphone::{AudioPlan, Microphone};
pub use port::Port;
pub use stage::{Feedback, Publisher, Stage, StageUse};
