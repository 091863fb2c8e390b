//! Handshakes wait until media has been served: a storm of joins takes a share of each turn, and
//! never all of it.

use std::time::Instant;

use super::Engine;
use super::egress::Egress;
use crate::demux::Kind;
use crate::drops::DropReason;
use crate::id::PeerId;
use crate::limits::{HANDSHAKE_DATAGRAMS_MAX, HANDSHAKE_DATAGRAMS_PER_PEER_MAX};
use crate::transport::Path;

/// Datagrams of handshakes served before what is due to others goes out: the dearest takes a
/// quarter of a millisecond.
const SERVED_BESIDE_MEDIA: usize = 2;
/// The same where nothing else is to be sent.
const SERVED_ALONE: usize = 8;

/// A datagram of a handshake.
#[derive(Debug)]
pub(super) struct Waiting {
    peer: PeerId,
    path: Path,
    datagram: Box<[u8]>,
}

impl Engine {
    /// Whether DTLS of this peer is that of its handshake, or would overtake it.
    pub(super) fn is_shaking_hands(&self, peer: PeerId) -> bool {
        self.peers.get(peer).is_some_and(|peer| !peer.is_connected() || peer.handshakes > 0)
    }

    /// Keeps a datagram of a handshake for later.
    pub(super) fn put_off(
        &mut self,
        id: PeerId,
        path: Path,
        datagram: &[u8],
    ) -> Result<(), DropReason> {
        let Some(peer) = self.peers.get_mut(id) else { return Err(DropReason::DtlsUnvalidated) };
        if self.handshakes.len() >= HANDSHAKE_DATAGRAMS_MAX
            || usize::from(peer.handshakes) >= HANDSHAKE_DATAGRAMS_PER_PEER_MAX
        {
            return Err(DropReason::HandshakesFull);
        }
        peer.handshakes += 1;
        self.handshakes.push_back(Waiting { peer: id, path, datagram: datagram.into() });
        Ok(())
    }

    /// Serves some handshakes, after media has been written to `egress`.
    pub(super) fn serve_handshakes(&mut self, now: Instant, egress: &Egress) {
        let served = if egress.is_empty() { SERVED_ALONE } else { SERVED_BESIDE_MEDIA };
        for _ in 0..served {
            let Some(waiting) = self.handshakes.pop_front() else { return };
            let Waiting { peer: id, path, mut datagram } = waiting;
            let Some(peer) = self.peers.get_mut(id) else { continue };
            peer.handshakes -= 1;
            if let Err(reason) = self.ingest_from(now, id, path, Kind::Dtls, &mut datagram) {
                self.stats.drops.count(reason);
            }
        }
    }
}
