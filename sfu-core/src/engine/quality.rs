//! Who gets which quality: preferences in, grants out.

use std::time::Instant;

use super::Engine;
use crate::command::{CommandError, Reply};
use crate::id::{PeerId, RoomId, TrackId};
use crate::preference::{Preference, RoomPolicy};

impl Engine {
    pub(super) fn prefer(
        &mut self,
        _now: Instant,
        peer: PeerId,
        track: TrackId,
        _preference: Preference,
    ) -> Result<Reply, CommandError> {
        self.peers.get(peer).ok_or(CommandError::NoSuchPeer)?;
        self.tracks.get(track).ok_or(CommandError::NoSuchTrack)?;
        Ok(Reply::Done)
    }

    pub(super) fn set_room_policy(
        &mut self,
        _now: Instant,
        room: RoomId,
        _policy: RoomPolicy,
    ) -> Result<Reply, CommandError> {
        self.rooms.get(room).ok_or(CommandError::NoSuchRoom)?;
        Ok(Reply::Done)
    }

    pub(super) fn decisions(&self, now: Instant, peer: PeerId) -> Result<Reply, CommandError> {
        self.peers.get(peer).ok_or(CommandError::NoSuchPeer)?;
        let now = now.saturating_duration_since(self.start);
        Ok(Reply::Decisions(Box::new(crate::decision::PeerDecisions { now, ..Default::default() })))
    }
}
