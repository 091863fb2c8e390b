//! Strays: datagrams that the kernel gave to another worker than the one whose peer they are from.
//!
//! All workers share the port, and the kernel's hash decides which of them reads a flow; it knows
//! nothing of rooms. So with W workers (W - 1) / W of what arrives has to be passed on: not one by
//! one but a batch at a time, one queue entry and at most one wake-up for each.
//!
//! **Whose a path is** is told by its owner when an authenticated check has validated it, to all
//! other workers and before it answers the check. Whoever reads what the client sends after that
//! answer therefore finds the news waiting. Checks themselves carry their worker's number in the
//! ufrag. Anything else is left to the own engine, which drops and counts it.

use std::collections::HashMap;

use sfu_core::demux::{Kind, PathChange, classify, worker_of_answer, worker_of_check};
use sfu_core::limits::{PATHS_PER_PEER_MAX, PEERS_MAX};
use sfu_core::transport::Path;

/// Bytes of one batch, after which another is begun: what 50 full datagrams have.
const BATCH_BYTES: usize = 64 * 1024;
/// Paths of others that are remembered: all that one engine can have, and more than there ever are.
const PATHS_MAX: usize = PEERS_MAX * PATHS_PER_PEER_MAX;

/// Datagrams on their way to the worker whose they are.
#[derive(Debug, Default)]
pub(super) struct StrayBatch {
    bytes: Vec<u8>,
    datagrams: Vec<(Path, usize)>,
}

impl StrayBatch {
    fn push(&mut self, path: Path, datagram: &[u8]) {
        self.bytes.extend_from_slice(datagram);
        self.datagrams.push((path, datagram.len()));
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= BATCH_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.datagrams.len()
    }

    /// Gives every datagram to `each`.
    pub(super) fn drain(&mut self, mut each: impl FnMut(Path, &mut [u8])) {
        let mut rest = &mut self.bytes[..];
        for &(path, length) in &self.datagrams {
            let (datagram, after) = rest.split_at_mut(length);
            each(path, datagram);
            rest = after;
        }
        self.clear();
    }

    /// Forgets the datagrams and keeps the buffers.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.datagrams.clear();
    }
}

/// What one worker knows of whose datagrams are whose.
#[derive(Debug)]
pub(super) struct Router {
    own: u8,
    workers: u8,
    /// Paths of other workers' peers. A remote address is chosen by the wire: the keyed hasher.
    owner_by_path: HashMap<Path, u8>,
}

impl Router {
    pub(super) fn new(own: u8, workers: u8) -> Self {
        Self { own, workers, owner_by_path: HashMap::new() }
    }

    /// The other worker that a datagram is for.
    pub(super) fn owner(&self, path: &Path, datagram: &[u8]) -> Option<u8> {
        if self.workers == 1 {
            return None;
        }
        // Oversize and unknown kinds are for the own engine to count.
        let owner = match classify(datagram).ok()? {
            Kind::Stun => worker_of_check(datagram).or_else(|| worker_of_answer(datagram))?,
            Kind::Dtls | Kind::Rtp | Kind::Rtcp => *self.owner_by_path.get(path)?,
        };
        (owner != self.own && owner < self.workers).then_some(owner)
    }

    /// Another worker told of one of its paths. The newest validation counts: an address may
    /// change hands.
    pub(super) fn told(&mut self, by: u8, change: PathChange) {
        match change {
            PathChange::Learned(path) | PathChange::Kept(path) => {
                if self.owner_by_path.len() < PATHS_MAX || self.owner_by_path.contains_key(&path) {
                    self.owner_by_path.insert(path, by);
                }
            }
            PathChange::Forgotten(path) => {
                if self.owner_by_path.get(&path) == Some(&by) {
                    self.owner_by_path.remove(&path);
                }
            }
        }
    }

    /// The own engine told of one of its paths.
    pub(super) fn own(&mut self, change: PathChange) {
        if let PathChange::Learned(path) = change {
            self.owner_by_path.remove(&path);
        }
    }

    /// How many workers there are.
    pub(super) fn workers(&self) -> u8 {
        self.workers
    }

    /// Paths known to be others'.
    pub(super) fn len(&self) -> usize {
        self.owner_by_path.len()
    }
}

/// One batch for each other worker, being filled.
#[derive(Debug)]
pub(super) struct Sorting(Vec<StrayBatch>);

impl Sorting {
    pub(super) fn new(workers: u8) -> Self {
        Self((0..workers).map(|_| StrayBatch::default()).collect())
    }

    /// Adds a datagram. A batch that is full now is to be sent before another is added.
    pub(super) fn add(&mut self, to: u8, path: Path, datagram: &[u8]) -> Option<&mut StrayBatch> {
        let batch = &mut self.0[usize::from(to)];
        batch.push(path, datagram);
        batch.is_full().then_some(batch)
    }

    /// What waits, with its destination.
    pub(super) fn waiting(&mut self) -> impl Iterator<Item = (u8, &mut StrayBatch)> {
        (0_u8..).zip(&mut self.0).filter(|(_, batch)| !batch.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(port: u16) -> Path {
        Path::udp(([192, 0, 2, 1], port), None)
    }

    /// A Binding request of no more than a USERNAME.
    fn check(ufrag: &str) -> Vec<u8> {
        let username = format!("{ufrag}:remote");
        let padded = username.len().next_multiple_of(4);
        let mut check = vec![0, 1];
        check.extend_from_slice(&((4 + padded) as u16).to_be_bytes());
        check.extend_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
        check.extend_from_slice(&[7; 12]);
        check.extend_from_slice(&[0, 6]);
        check.extend_from_slice(&(username.len() as u16).to_be_bytes());
        check.extend_from_slice(username.as_bytes());
        check.resize(20 + 4 + padded, 0);
        check
    }

    const RTP: [u8; 12] = [0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    #[test]
    fn checks_go_by_their_ufrag_and_everything_else_by_its_path() {
        let mut router = Router::new(1, 3);
        for (ufrag, want) in [("AAxxxx", Some(0)), ("ABxxxx", None), ("ACxxxx", Some(2))] {
            assert_eq!(router.owner(&path(1), &check(ufrag)), want, "{ufrag}");
        }
        assert_eq!(router.owner(&path(1), &check("ADxxxx")), None, "there is no worker 3");
        assert_eq!(router.owner(&path(1), &RTP), None);
        assert_eq!(router.owner(&path(1), &[]), None);

        router.told(2, PathChange::Learned(path(1)));
        assert_eq!(router.owner(&path(1), &RTP), Some(2));
        assert_eq!(router.owner(&path(1), &[22; 20]), Some(2), "DTLS");
        assert_eq!(router.owner(&path(1), &check("ABxxxx")), None, "a check for this worker");
        assert_eq!(router.owner(&path(2), &RTP), None, "another client");
    }

    #[test]
    fn the_newest_validation_counts_whoever_made_it() {
        let mut router = Router::new(1, 3);
        router.told(2, PathChange::Learned(path(1)));
        router.told(0, PathChange::Learned(path(1)));
        router.told(2, PathChange::Forgotten(path(1)));
        assert_eq!(router.owner(&path(1), &RTP), Some(0), "forgotten by its former owner");
        router.own(PathChange::Learned(path(1)));
        assert_eq!(router.owner(&path(1), &RTP), None);
        router.told(0, PathChange::Learned(path(1)));
        router.own(PathChange::Forgotten(path(1)));
        assert_eq!(router.owner(&path(1), &RTP), Some(0), "forgotten here, learnt there");
        router.told(0, PathChange::Forgotten(path(1)));
        assert_eq!(router.len(), 0);
    }

    #[test]
    fn batches_give_back_what_they_were_given() {
        let mut sorting = Sorting::new(3);
        assert!(sorting.add(2, path(1), b"one").is_none());
        assert!(sorting.add(0, path(2), b"").is_none());
        assert!(sorting.add(2, path(3), b"three").is_none());
        let waiting: Vec<(u8, usize)> = sorting.waiting().map(|(to, b)| (to, b.len())).collect();
        assert_eq!(waiting, [(0, 1), (2, 2)]);
        let mut got = Vec::new();
        for (to, batch) in sorting.waiting() {
            batch.drain(|path, datagram| got.push((to, path, datagram.to_vec())));
        }
        let want = [(0, path(2), &b""[..]), (2, path(1), b"one"), (2, path(3), b"three")];
        assert!(got.iter().map(|(to, path, d)| (*to, *path, &d[..])).eq(want));
        assert_eq!(sorting.waiting().count(), 0);
    }

    #[test]
    fn a_batch_is_full_before_it_grows_without_bound() {
        let mut sorting = Sorting::new(2);
        let datagram = [0; 1500];
        let added = (1..).find(|_| sorting.add(0, path(1), &datagram).is_some()).unwrap();
        assert_eq!(added, BATCH_BYTES.div_ceil(1500));
    }
}
