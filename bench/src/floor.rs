//! The floors: what forwarding costs when nothing is done but what nobody can do without.
//!
//! - **F0**: copy the payload, write the header, seal with AES-128-GCM, one key per destination.
//! - **F1**: F0, and receive the packet, and send the copies by `sendmmsg` of 64.
//! - **F2**: F1, with what goes to one destination sent as one run (`UDP_SEGMENT`).
//!
//! F1 and F2 run as processes of their own (`bench floor f1`) and are driven like a server: a
//! datagram that starts with `J` makes its sender a destination; RTP from anybody goes to all of
//! them. They know no ICE, no DTLS, no loss and no wish: they are references, not servers.

mod command;
mod forge;
mod serve;

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

pub use command::{FloorsArgs, run};
pub(crate) use forge::Forge;
pub use serve::{FloorArgs, serve};

/// The first byte of the datagram that makes its sender a destination.
pub const JOIN: u8 = b'J';

/// A floor that runs as a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
pub enum Kind {
    /// Each copy is a message of its own.
    F1,
    /// Neighbouring copies for one destination are one message.
    F2,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F1 => "F1",
            Self::F2 => "F2",
        })
    }
}
