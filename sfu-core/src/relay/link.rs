//! [`Link`]: what a room knows of its continuation in another engine.

use std::collections::BTreeMap;

use crate::deliver::slot::ClockOffset;
use crate::id::{ParticipantId, RoomId, TrackId};

/// A room's link with another engine.
#[derive(Debug)]
pub struct Link {
    /// The engine's worker number.
    pub worker: u8,
    /// What the room is called there.
    pub remote: RoomId,
    /// The participants there, at most [`crate::limits::PEERS_PER_ROOM_MAX`], and how their clocks
    /// relate to the server's, as their own engine sees it: one for all tracks of a publisher, so
    /// that they stay in sync.
    pub people: BTreeMap<ParticipantId, ClockOffset>,
    /// The mirrors here of tracks there, by their ids there; at most
    /// [`crate::limits::MIRRORS_PER_ROOM_MAX`] with those of other links.
    pub mirrors: BTreeMap<TrackId, TrackId>,
}

impl Link {
    /// A link of which nothing has been heard yet.
    #[must_use]
    pub fn new(worker: u8, remote: RoomId) -> Self {
        Self { worker, remote, people: BTreeMap::new(), mirrors: BTreeMap::new() }
    }
}
