//! A lean load generator: thousands of clients with real ICE, DTLS and SRTP on a few threads.
//! [`fleet`] is the library, for other benchmarks too; [`scenario`] is the command line,
//! `sfu load` and `cargo xtask bench load`.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

pub mod account;
pub mod client;
mod clock;
pub mod fleet;
pub mod publish;
pub mod scenario;
pub mod sdp;
pub mod signal;
pub mod wire;

pub use clock::{Clock, thread_cpu_ns};
pub use fleet::{Fleet, FleetConfig, FleetUse, Member};
