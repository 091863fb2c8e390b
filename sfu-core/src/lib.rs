//! The engine of the SFU. Sans-I/O: datagrams, commands and time go in; datagrams, events and a
//! deadline come out. It reads no clock, opens no socket, spawns no thread and takes no lock.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

pub mod bandwidth;
pub mod command;
pub mod decision;
pub mod deliver;
pub mod demux;
pub mod drops;
mod elapsed;
mod engine;
pub mod event;
pub mod forward;
pub mod id;
pub mod limits;
pub mod negotiation;
pub mod preference;
pub mod publish;
pub mod recorder;
pub mod relay;
pub mod room;
pub mod rtp;
pub mod stats;
pub mod transport;

pub use engine::{Egress, Engine, EngineConfig, Transmit};
