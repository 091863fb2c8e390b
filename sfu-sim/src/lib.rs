//! A deterministic world for the engine: a virtual clock, links with faults, and clients that
//! offer, publish, receive and judge what they receive. One seed gives one course of events.
//!
//! [`World`] holds it all together; [`Plan`] says what a client does; [`scenario`] runs whole
//! calls given as data; [`fixture`] gives ready-made engines to measure.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

mod bottleneck;
pub mod client;
pub mod cross;
mod depot;
pub mod fixture;
pub mod lab;
pub mod link;
mod plan;
pub mod plot;
mod queue;
pub mod random;
pub mod scenario;
pub mod speed;
mod trace;
pub mod wire;
mod world;

pub use bottleneck::{Bottleneck, BottleneckId};
pub use client::Client;
pub use client::judge::quality::Quality;
pub use client::layers::Layering;
pub use link::{Conditions, LinkPlan, Loss};
pub use plan::{Encoding, Feedback, Plan, Slots, VideoPlan};
pub use world::{ClientId, Relayed, World};
