//! DTLS waits for its turn: a flight of a handshake costs as much as a hundred forwarded packets,
//! and a storm of joins must not hold up media. What arrives is put aside, and each turn of the
//! worker's loop spends a bounded time on it.

use std::collections::VecDeque;
use std::time::Duration;

use sfu_core::transport::Path;

use crate::limits::HANDSHAKES_WAITING_MAX;

/// Time that one turn spends on DTLS once media was served; one datagram may exceed it.
pub(super) const TIME_PER_TURN: Duration = Duration::from_millis(1);

/// DTLS datagrams that wait, oldest first.
#[derive(Debug, Default)]
pub(super) struct Handshakes(VecDeque<(Path, Box<[u8]>)>);

impl Handshakes {
    /// Puts a datagram aside. False if there are too many: its sender repeats it.
    pub(super) fn push(&mut self, path: Path, datagram: &[u8]) -> bool {
        if self.0.len() >= HANDSHAKES_WAITING_MAX {
            return false;
        }
        self.0.push_back((path, datagram.into()));
        true
    }

    /// The next to be served.
    pub(super) fn pop(&mut self) -> Option<(Path, Box<[u8]>)> {
        self.0.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
