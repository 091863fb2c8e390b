//! A client in few lines, without sockets: ICE checks, DTLS, SRTP keys, and the reports a receiver
//! owes. Thousands of them fit in one process, and what they cost is known; they play nothing.

mod client;
mod feedback;
mod video;

pub(crate) use client::{Client, Identity, Media, Role};
pub(crate) use feedback::{Feedback, FeedbackPlan};
pub(crate) use video::{STAMP_AT, Stream};
