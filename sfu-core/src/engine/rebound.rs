//! Media from an address that ICE does not know: a peer behind a NAT that gave it another port, or one
//! that changed networks. Clients notice after seconds; their packets come at once.
//!
//! Who it is, SRTP tells: the packet is tried with the keys of the few peers it may be from, at a
//! bounded rate. It is taken, and the address is asked to answer a check ([`Transport::recognize`]);
//! only then anything is sent there.
//!
//! [`Transport::recognize`]: crate::transport::Transport::recognize

use std::time::Instant;

use super::Engine;
use crate::demux::{Kind, stun_transaction};
use crate::drops::DropReason;
use crate::id::{PeerId, Ssrc};
use crate::limits::{CHALLENGES_MAX, DISCONNECTED_AFTER, STRANGERS_KEYS_MAX};
use crate::transport::{Path, Protocol, Received};

impl Engine {
    /// Takes a media packet from an unknown address, if it is a peer's.
    pub(super) fn recognize(
        &mut self,
        now: Instant,
        path: Path,
        kind: Kind,
        data: &[u8],
    ) -> Result<(), DropReason> {
        // A connection has been one peer's from its first check on.
        if path.protocol != Protocol::Udp || !self.strangers.allow(now) {
            return self.nobodys(data);
        }
        self.unclaimed = true;
        let worker = self.config.worker;
        for id in self.likely(&path, kind, data) {
            let Some(link) = self.peers.get_mut(id).and_then(|peer| peer.link.as_mut()) else {
                continue;
            };
            let mut copy = data.to_vec();
            let Ok((received, asked)) = link.transport.recognize(path, now, worker, &mut copy)
            else {
                continue;
            };
            self.unclaimed = false;
            if let Some(transaction) = asked {
                if self.challenged.len() >= CHALLENGES_MAX {
                    self.challenged.pop_front();
                }
                self.challenged.push_back((transaction, id));
            }
            self.mark_dirty(id);
            self.route_batch();
            return self.guarded(id, |engine| match received {
                Received::Consumed => Ok(()),
                Received::Rtp(packet) => engine.receive_rtp(now, id, packet),
                Received::Rtcp(packet) => engine.receive_rtcp(now, id, packet),
            });
        }
        self.nobodys(data)
    }

    /// Who read it counts it, and nobody else.
    fn nobodys(&mut self, data: &[u8]) -> Result<(), DropReason> {
        if !self.reads_for_others {
            return Err(DropReason::RtpUnvalidated);
        }
        self.stats.datagrams_in -= 1;
        self.stats.bytes_in -= data.len() as u64;
        Ok(())
    }

    /// Says whether what comes was read by another engine's shell, which has counted it if it is
    /// nobody's.
    pub fn reads_for_others(&mut self, does: bool) {
        self.reads_for_others = does;
    }

    /// Peers that the packet may be from: those that send its SSRC, then those of its IP address.
    fn likely(&self, path: &Path, kind: Kind, data: &[u8]) -> Vec<PeerId> {
        let at = if kind == Kind::Rtp { 8 } else { 4 };
        let Some(&[a, b, c, d]) = data.get(at..at + 4) else { return Vec::new() };
        let ssrc = Ssrc(u32::from_be_bytes([a, b, c, d]));
        let (mut by_ssrc, mut by_address) = (Vec::new(), Vec::new());
        for (id, peer) in &self.peers {
            let Some(link) = &peer.link else { continue };
            let same_ip = |known: &Path| known.remote.ip() == path.remote.ip();
            if peer.publish.route(ssrc).is_some() {
                by_ssrc.push(id);
            } else if by_address.len() < STRANGERS_KEYS_MAX && link.paths.iter().any(same_ip) {
                by_address.push(id);
            }
        }
        by_ssrc.extend(by_address);
        by_ssrc.truncate(STRANGERS_KEYS_MAX);
        by_ssrc
    }

    /// The peer that a check of ours was sent to, by the answer.
    pub(super) fn challenged(&mut self, data: &[u8]) -> Option<PeerId> {
        let transaction = stun_transaction(data)?;
        let at = self.challenged.iter().position(|(known, _)| *known == transaction)?;
        Some(self.challenged[at].1)
    }

    /// Whether `path` is a peer's that is heard on it: nobody else's checks move it then. Whoever
    /// writes another's address into a check has only its own password.
    #[must_use]
    pub fn holds_path(&self, now: Instant, path: &Path) -> bool {
        self.demux.peer_by_path(path).is_some_and(|owner| self.is_heard_on(now, owner, path))
    }

    fn is_heard_on(&self, now: Instant, owner: PeerId, path: &Path) -> bool {
        let link = self.peers.get(owner).and_then(|peer| peer.link.as_ref());
        link.is_some_and(|link| {
            let heard = link.transport.heard_on(path);
            link.transport.is_connected()
                && heard.is_some_and(|at| now.saturating_duration_since(at) < DISCONNECTED_AFTER)
        })
    }

    /// Refuses a check over a path that another peer of this engine is heard on.
    pub(super) fn check_free(
        &self,
        now: Instant,
        path: &Path,
        peer: PeerId,
    ) -> Result<(), DropReason> {
        let owner = self.demux.peer_by_path(path).filter(|&owner| owner != peer);
        if owner.is_some_and(|owner| self.is_heard_on(now, owner, path)) {
            return Err(DropReason::StunPathTaken);
        }
        Ok(())
    }

    /// Whether the last datagram was media of an unknown address and of no peer here: it may be one
    /// of another engine's. Asked once.
    pub fn take_unclaimed(&mut self) -> bool {
        std::mem::take(&mut self.unclaimed)
    }
}
