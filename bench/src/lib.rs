//! Real WebRTC participants for tests and load: synthetic but valid media, full ICE, DTLS and
//! SRTP by the `webrtc` crate (a stack other than the engine's own assembly), and an account of
//! every packet from its publisher to its viewer.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

pub mod account;
pub mod all;
pub mod alloc;
pub mod client;
pub mod cores;
pub mod delay;
mod drive;
pub mod engine;
pub mod fanout;
pub mod floor;
mod lean;
pub mod media;
pub mod peers;
pub mod results;
pub mod run;
pub mod scale;
mod sys;
