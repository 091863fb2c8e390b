//! A bad network on request, for development: what single peers send and are sent is lost, held up,
//! throttled or cut where the worker has it from the socket or would give it to it. Without any
//! [`Impairments`] a worker looks at one `Option` for a datagram it receives and for a batch it
//! sends, and that is all.
//!
//! It holds for a peer's paths, UDP's and TCP's, and for checks that name it. Media from an address
//! that nobody knows yet is not recognised: it is the engine that finds out whose it is.

mod line;

use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use rand::RngExt as _;
use rand::rngs::StdRng;
use sfu_core::id::PeerId;
use sfu_core::transport::{Path, Protocol};
use sfu_core::{Egress, Engine, Transmit};

use super::socket::Sockets;
use super::tcp::Streams;
use crate::limits;
use line::Line;
pub(crate) use line::{Impairment, Leg};

/// A peer is to have this network from now on; the default lifts it.
pub(super) type Wish = (PeerId, Impairment);

/// The peers of one worker whose network is bad.
pub(super) struct Impairments {
    peers: Vec<Impaired>,
    random: StdRng,
}

struct Impaired {
    peer: PeerId,
    downlink: Line,
    uplink: Line,
}

/// Takes the wishes that wait. `impairments` stays `None` as long as there are none.
pub(super) fn take_wishes(
    now: Instant,
    wishes: &Receiver<Wish>,
    impairments: &mut Option<Box<Impairments>>,
) {
    for (peer, wish) in wishes.try_iter().take(limits::IMPAIRMENTS_WAITING_MAX) {
        let first = || Box::new(Impairments { peers: Vec::new(), random: rand::make_rng() });
        impairments.get_or_insert_with(first).set(now, peer, wish);
    }
}

impl Impairments {
    fn set(&mut self, now: Instant, peer: PeerId, wish: Impairment) {
        let index = self.peers.iter().position(|impaired| impaired.peer == peer);
        let index = match index {
            Some(index) => index,
            None if self.peers.len() >= limits::IMPAIRED_PEERS_MAX => {
                tracing::warn!("too many impaired peers: one more is not");
                return;
            }
            None => {
                let (downlink, uplink) = (Line::new(now), Line::new(now));
                self.peers.push(Impaired { peer, downlink, uplink });
                self.peers.len() - 1
            }
        };
        let impaired = &mut self.peers[index];
        impaired.downlink.set(now, wish.downlink);
        impaired.uplink.set(now, wish.uplink);
    }

    /// Takes a datagram if it came from an impaired peer, for [`Impairments::next_received`].
    pub(super) fn take_received(
        &mut self,
        now: Instant,
        engine: &Engine,
        path: Path,
        datagram: &[u8],
    ) -> bool {
        let Some(peer) = engine.peer_of(&path, datagram) else { return false };
        let Self { peers, random } = self;
        let Some(impaired) = peers.iter_mut().find(|impaired| impaired.peer == peer) else {
            return false;
        };
        impaired.uplink.take(now, path, datagram, || random.random());
        true
    }

    /// The next received datagram whose time has come.
    pub(super) fn next_received(&mut self, now: Instant) -> Option<(Path, Box<[u8]>)> {
        self.peers.iter_mut().find_map(|impaired| impaired.uplink.next(now))
    }

    /// Sends a batch: what is for impaired peers when its time comes, everything else now.
    pub(super) fn send(
        &mut self,
        now: Instant,
        engine: &Engine,
        egress: &Egress,
        sockets: &mut Sockets,
        streams: &mut Streams,
    ) {
        let Self { peers, random } = self;
        let mut others: Vec<(&Transmit, &[u8])> = Vec::new();
        for (transmit, run) in egress.iter() {
            let peer = engine.peer_of(&transmit.path, &[]);
            let impaired = peers.iter_mut().find(|impaired| Some(impaired.peer) == peer);
            match impaired {
                None => others.push((transmit, run)),
                Some(impaired) => {
                    for datagram in run.chunks(transmit.segment_bytes.max(1)) {
                        impaired.downlink.take(now, transmit.path, datagram, || random.random());
                    }
                }
            }
        }
        send_each(now, &others, sockets, streams);
        let mut due = Vec::new();
        for impaired in peers {
            while let Some((path, datagram)) = impaired.downlink.next(now) {
                let length = datagram.len();
                due.push((Transmit { path, range: 0..length, segment_bytes: length }, datagram));
            }
        }
        let due: Vec<_> = due.iter().map(|(transmit, bytes)| (transmit, &**bytes)).collect();
        send_each(now, &due, sockets, streams);
    }

    /// Until when nothing is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let lines = self.peers.iter().flat_map(|impaired| [&impaired.downlink, &impaired.uplink]);
        lines.filter_map(Line::due).min()
    }

    /// Forgets who has left, and whose network is good again. True if nobody remains.
    pub(super) fn sweep(&mut self, engine: &Engine) -> bool {
        self.peers.retain(|impaired| {
            engine.has_peer(impaired.peer)
                && !(impaired.downlink.is_good() && impaired.uplink.is_good())
        });
        self.peers.is_empty()
    }

    /// How long a worker may wait for something to happen at most.
    pub(super) fn shorten(&self, now: Instant, wait: Duration) -> Duration {
        let due = self.deadline().map(|due| due.saturating_duration_since(now));
        due.map_or(wait, |due| wait.min(due))
    }
}

fn send_each(
    now: Instant,
    batch: &[(&Transmit, &[u8])],
    sockets: &mut Sockets,
    streams: &mut Streams,
) {
    let by = |protocol| {
        batch.iter().copied().filter(move |(transmit, _)| transmit.path.protocol == protocol)
    };
    sockets.send(now, by(Protocol::Udp));
    streams.send(now, by(Protocol::Tcp));
}
