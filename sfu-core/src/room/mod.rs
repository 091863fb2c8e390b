//! Who is in a room, what they publish, and who speaks.

mod last_n;
mod speakers;

use crate::id::{ParticipantId, PeerId, TrackId};

pub use last_n::LastN;
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
}

impl Room {
    /// The peer of a participant.
    #[must_use]
    pub fn peer(&self, participant: ParticipantId) -> Option<PeerId> {
        self.peers.iter().find(|&&(p, _)| p == participant).map(|&(_, peer)| peer)
    }
}
