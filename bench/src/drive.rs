//! Drives a server, or a floor in its place, with one publisher and many subscribers of [`lean`],
//! and reads what it cost: CPU time of its process per packet that reached a subscriber.
//!
//! [`lean`]: crate::lean

mod drain;
mod join;
mod publisher;
mod rig;
mod rounds;
mod strace;
mod target;

pub(crate) use rig::{Rig, Round, Setup};
pub(crate) use rounds::{Costs, interleave};
pub(crate) use strace::trace_calls;
pub(crate) use target::{Target, spawn_on};

/// The processor that servers and floors have to themselves, if there are two.
pub(crate) const TARGET_CORE: usize = 1;
/// The processor of everything else.
pub(crate) const LOAD_CORE: usize = 0;
