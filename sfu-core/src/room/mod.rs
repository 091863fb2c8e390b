//! Who is in a room, what they publish, and who speaks.

mod last_n;
mod speakers;

use crate::id::{ParticipantId, PeerId, TrackId};
use crate::relay::Link;

pub use last_n::{LastN, Seats};
pub use speakers::Speakers;

/// One room.
#[derive(Debug, Default)]
pub struct Room {
    /// Its peers in order of arrival.
    pub peers: Vec<(ParticipantId, PeerId)>,
    /// Its tracks in order of publication.
    pub tracks: Vec<TrackId>,
    /// Who speaks.
    pub speakers: Speakers,
    /// Who is forwarded at all.
    pub last_n: LastN,
    /// The other engines in which it goes on, by worker number.
    pub links: Vec<Link>,
    /// The seats those were last told.
    pub seats_told: Option<Seats>,
    /// The last stamp given away.
    stamp: u64,
}

impl Room {
    /// A time for what happens at `ntp`, later than all before it in this room and engine: an order
    /// that engines agree on.
    pub fn stamp(&mut self, ntp: u64) -> u64 {
        self.stamp = ntp.max(self.stamp.wrapping_add(1));
        self.stamp
    }

    /// The link with an engine.
    #[must_use]
    pub fn link(&self, worker: u8) -> Option<&Link> {
        self.links.iter().find(|link| link.worker == worker)
    }

    /// See [`Room::link`].
    pub fn link_mut(&mut self, worker: u8) -> Option<&mut Link> {
        self.links.iter_mut().find(|link| link.worker == worker)
    }

    /// The engine that hands out seats, if it is not that of worker `own`: the one with the lowest
    /// number.
    #[must_use]
    pub fn leader(&self, own: u8) -> Option<u8> {
        self.links.iter().map(|link| link.worker).min().filter(|&lowest| lowest < own)
    }

    /// The peer of a participant.
    #[must_use]
    pub fn peer(&self, participant: ParticipantId) -> Option<PeerId> {
        self.peers.iter().find(|&&(p, _)| p == participant).map(|&(_, peer)| peer)
    }
}
