//! Datagrams on their way out: one arena per batch, runs of equal size for one address.

use std::ops::Range;

use crate::transport::Path;

/// A run of datagrams for one address, adjacent in the arena of [`Egress`]. All are
/// `segment_bytes` long but the last, which may be shorter: what UDP_SEGMENT sends in one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where it goes, and from which local address.
    pub path: Path,
    /// Its bytes in the arena.
    pub range: Range<usize>,
    /// Length of each datagram but the last.
    pub segment_bytes: usize,
}

/// A batch of outgoing datagrams. Reused: its memory is allocated once.
#[derive(Debug)]
pub struct Egress {
    pub(crate) arena: Vec<u8>,
    pub(crate) transmits: Vec<Transmit>,
}

/// Bytes one batch holds; when it is full the engine asks for it to be sent first.
const ARENA_BYTES: usize = 1024 * 1024;
/// Runs one batch holds.
const TRANSMITS: usize = 1024;

impl Default for Egress {
    fn default() -> Self {
        Self { arena: Vec::with_capacity(ARENA_BYTES), transmits: Vec::with_capacity(TRANSMITS) }
    }
}

impl Egress {
    /// Each run with its bytes, in sending order.
    pub fn iter(&self) -> impl Iterator<Item = (&Transmit, &[u8])> {
        self.transmits.iter().map(|t| (t, &self.arena[t.range.clone()]))
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.transmits.is_empty()
    }

    /// Forgets the batch, keeping its memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.transmits.clear();
    }
}
