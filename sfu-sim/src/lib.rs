//! A deterministic world for the engine: a virtual clock, links with faults, and clients that
//! offer, publish, receive and judge what they receive. One seed gives one course of events.
//!
//! [`World`] holds it all together; [`Plan`] says what a client does; [`scenario`] runs whole
//! calls given as data; [`fixture`] gives ready-made engines to measure.
#![forbid(unsafe_code)]

pub mod client;
pub mod fixture;
pub mod lab;
pub mod link;
mod plan;
pub mod plot;
pub mod random;
pub mod scenario;
mod trace;
pub mod wire;
mod world;

pub use client::Client;
pub use client::quality::Quality;
pub use link::{Conditions, LinkPlan, Loss};
pub use plan::{Encoding, Plan, Slots, VideoPlan};
pub use world::{ClientId, World};
