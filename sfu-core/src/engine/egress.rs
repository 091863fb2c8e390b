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
    /// Datagrams in the batch; a run holds one or more.
    pub(crate) datagrams: u64,
    /// Datagrams of the last run; none once a shorter one has ended it.
    growing: usize,
}

/// Bytes one batch holds; when it is full the engine asks for it to be sent first.
const ARENA_BYTES: usize = 128 * 1024;
/// With so many it counts as full for whoever is next: what is left is for the longest run, so that
/// none is cut in two. So few that the kernel still finds them in the cache, and that the first of a
/// thousand subscribers does not wait until the last one's packet is written.
const ENOUGH_BYTES: usize = ARENA_BYTES - 64 * 1024;
/// Runs one batch holds.
const TRANSMITS: usize = 1024;

impl Default for Egress {
    fn default() -> Self {
        Self {
            arena: Vec::with_capacity(ARENA_BYTES),
            transmits: Vec::with_capacity(TRANSMITS),
            datagrams: 0,
            growing: 0,
        }
    }
}

/// Segments of one run: the kernel's limit is 64, and 40 already cost next to nothing each.
const SEGMENTS_MAX: usize = 40;
/// Bytes of one run: an IP packet's 65,535 less headers, rounded down.
const RUN_BYTES_MAX: usize = 60_000;

impl Egress {
    /// Whether `bytes` more bytes, in up to `datagrams` more runs, fit.
    pub(crate) fn has_room(&self, bytes: usize, datagrams: usize) -> bool {
        self.arena.len() + bytes <= ARENA_BYTES && self.transmits.len() + datagrams <= TRANSMITS
    }

    /// Whether it is worth a system call as it is: what the next peer is owed goes into another one.
    pub(crate) fn has_enough(&self) -> bool {
        self.arena.len() >= ENOUGH_BYTES
    }

    /// Copies a datagram in.
    pub(crate) fn push(&mut self, path: Path, datagram: &[u8]) {
        let start = self.arena.len();
        self.arena.extend_from_slice(datagram);
        self.commit(path, start);
    }

    /// Makes what was written to the arena from `start` on a datagram to `path`; it joins the
    /// previous run if the sizes allow.
    pub(crate) fn commit(&mut self, path: Path, start: usize) {
        let end = self.arena.len();
        let bytes = end - start;
        self.datagrams += 1;
        if let Some(run) = self.transmits.last_mut()
            && (1..SEGMENTS_MAX).contains(&self.growing)
            && bytes <= run.segment_bytes
            && run.range.end == start
            && end - run.range.start <= RUN_BYTES_MAX
            && run.path == path
        {
            run.range.end = end;
            self.growing = if bytes == run.segment_bytes { self.growing + 1 } else { 0 };
            return;
        }
        self.growing = 1;
        self.transmits.push(Transmit { path, range: start..end, segment_bytes: bytes });
    }

    /// Each run with its bytes, in sending order.
    pub fn iter(&self) -> impl Iterator<Item = (&Transmit, &[u8])> + Clone {
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
        self.datagrams = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(port: u16) -> Path {
        Path::udp(([127, 0, 0, 1], port), None)
    }

    #[test]
    fn equal_sizes_to_one_address_become_one_run_that_a_shorter_one_ends() {
        let mut egress = Egress::default();
        for (port, len) in [(1, 100), (1, 100), (1, 60), (1, 100), (2, 100), (2, 120)] {
            egress.push(path(port), &vec![0; len]);
        }
        let runs: Vec<_> =
            egress.iter().map(|(t, b)| (t.path.remote.port(), t.segment_bytes, b.len())).collect();
        assert_eq!(runs, [(1, 100, 260), (1, 100, 100), (2, 100, 100), (2, 120, 120)]);
    }

    #[test]
    fn runs_are_bounded() {
        let mut egress = Egress::default();
        for _ in 0..100 {
            egress.push(path(1), &[0; 1200]);
        }
        assert!(egress.iter().all(|(t, b)| {
            b.len() <= RUN_BYTES_MAX && b.len() / t.segment_bytes <= SEGMENTS_MAX
        }));
        assert_eq!(egress.iter().map(|(_, b)| b.len()).sum::<usize>(), 120_000);
    }
}
