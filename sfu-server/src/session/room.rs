//! One room as the registry keeps it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use sfu_core::id::{ParticipantId, RoomId};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::message::Json;
use super::participant::Participant;
use super::settings::RoomSettings;
use crate::media::WorkerId;

/// A room and who is in it.
pub(crate) struct Room {
    pub(crate) name: Arc<str>,
    pub(crate) worker: WorkerId,
    /// The engine's room, made by whoever needs it first.
    pub(crate) id: Arc<OnceCell<RoomId>>,
    /// The same once it is in the registry's index.
    pub(crate) bound_id: Option<RoomId>,
    pub(crate) participants: BTreeMap<ParticipantId, Participant>,
    pub(crate) settings: RoomSettings,
    /// Held while they are being changed.
    pub(crate) settings_turn: Arc<tokio::sync::Mutex<()>>,
    /// How long it stays while empty. Zero for a room that was made by a join.
    pub(crate) empty_timeout: Duration,
    /// When it became empty, if it stays a while.
    pub(crate) empty_since: Option<Instant>,
    /// Requests that have found it and are not in `participants`; it is not removed under them.
    pub(crate) holders: usize,
}

/// A room as the API shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RoomView {
    pub(crate) name: String,
    /// Without WHEP viewers.
    pub(crate) participants: usize,
    /// WHEP viewers.
    pub(crate) viewers: usize,
    pub(crate) tracks: usize,
    /// Seconds an empty room stays.
    pub(crate) empty_timeout: u64,
    #[serde(flatten)]
    pub(crate) settings: RoomSettings,
}

impl Room {
    pub(crate) fn new(name: Arc<str>, worker: WorkerId, empty_timeout: Duration) -> Self {
        Self {
            name,
            worker,
            id: Arc::default(),
            bound_id: None,
            participants: BTreeMap::new(),
            settings: RoomSettings::default(),
            settings_turn: Arc::default(),
            empty_timeout,
            empty_since: None,
            holders: 0,
        }
    }

    /// Those others know of.
    pub(crate) fn visible(&self) -> impl Iterator<Item = &Participant> {
        self.participants.values().filter(|participant| participant.is_visible())
    }

    /// Tells everybody but `except`.
    pub(crate) fn tell_others(&self, except: Option<ParticipantId>, message: &Json) {
        for participant in self.visible().filter(|participant| Some(participant.id) != except) {
            participant.outbox.push(message);
        }
    }

    /// Names and metadata of everybody, in bytes.
    pub(crate) fn metadata_bytes(&self) -> usize {
        self.participants.values().map(|p| p.name.len() + p.metadata.len()).sum()
    }

    pub(crate) fn view(&self) -> RoomView {
        let participants = self.visible().count();
        RoomView {
            name: self.name.to_string(),
            participants,
            viewers: self.participants.len() - participants,
            tracks: self.participants.values().map(|p| p.tracks.len()).sum(),
            empty_timeout: self.empty_timeout.as_secs(),
            settings: self.settings,
        }
    }
}
