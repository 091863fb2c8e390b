//! The transport against the bare libraries as its peer, in memory and on virtual time.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod data;
mod data_by_hand;
mod dtls_handshake;
mod ice;
mod media;
mod peer;
mod rebound;
mod world;
