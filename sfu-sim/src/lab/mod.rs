//! The congestion lab: closed loops of flows over a shared bottleneck on virtual time, without
//! engine and encryption, to see what a congestion controller does in RFC 8867's cases and others.
//!
//! [`catalogue`](catalogue::catalogue) has the cases, [`Case::run`] runs one, [`report`] makes the
//! tables, and [`crate::plot`] draws a run.

pub mod bottleneck;
pub mod case;
pub mod catalogue;
pub mod command;
pub mod controller;
pub mod course;
pub mod flow;
pub mod media;
pub mod metric;
pub mod receiver;
pub mod report;
pub mod run;
pub mod source;
#[cfg(feature = "str0m")]
pub mod str0m_flow;
pub mod tcp;

pub use case::{Case, Kind};
pub use catalogue::catalogue;
