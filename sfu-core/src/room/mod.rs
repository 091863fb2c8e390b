//! Who is in a room, what they publish, and who speaks.

mod speakers;

use crate::id::{ParticipantId, PeerId, TrackId};

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
}

impl Room {
    /// Whether a track is among what the room forwards to everybody.
    #[must_use]
    pub fn forwards(&self, _: TrackId, _: bool) -> bool {
        true
    }
    /// The peer of a participant.
    #[must_use]
    pub fn peer(&self, participant: ParticipantId) -> Option<PeerId> {
        self.peers.iter().find(|&&(p, _)| p == participant).map(|&(_, peer)| peer)
    }
}
