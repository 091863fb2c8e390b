//! One room as the registry keeps it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use sfu_core::id::{ParticipantId, RoomId, TrackId};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::direct::Direct;
use super::lock::Lost;
use super::message::Json;
use super::participant::{Door, Participant};
use super::placement::{Newcomer, PartLoad};
use super::settings::RoomSettings;
use super::track::{Mirrors, Track, TrackKey};
use crate::media::WorkerId;

/// A room and who is in it.
pub(crate) struct Room {
    pub(crate) name: Arc<str>,
    /// The workers it is on, in the order in which it came to them. Never empty.
    pub(crate) parts: Vec<Part>,
    /// How many participants were given a worker so far.
    pub(crate) placed: usize,
    pub(crate) participants: BTreeMap<ParticipantId, Participant>,
    pub(crate) settings: RoomSettings,
    /// Who may come back while it is locked.
    pub(super) lost: Lost,
    /// Whether its media goes past the server.
    pub(super) direct: Direct,
    /// Changes with its settings.
    pub(crate) version: u64,
    /// Held while the engines are told of its settings or its parts. Rooms of one name that follow
    /// each other are told apart by it.
    pub(crate) turn: Arc<tokio::sync::Mutex<()>>,
    /// How long it stays while empty. Zero for a room that was made by a join.
    pub(crate) empty_timeout: Duration,
    /// When it became empty, if it stays a while.
    pub(crate) empty_since: Option<Instant>,
    /// Requests that have found it and are not in `participants`; it is not removed under them.
    pub(crate) holders: usize,
}

/// A room on one worker.
pub(crate) struct Part {
    pub(crate) worker: WorkerId,
    /// What the engine calls it, made by whoever needs it first. Participants are added once it is
    /// set: by then it is linked with all parts that were there before.
    pub(crate) id: Arc<OnceCell<RoomId>>,
    /// The same once it is in the registry's index, which is a little earlier.
    pub(crate) bound_id: Option<RoomId>,
    /// What the tracks of other parts are called here.
    pub(crate) mirrors: Mirrors,
    /// Since when nobody is there.
    pub(crate) empty_since: Option<Instant>,
}

/// A room as the API shows it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
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
    /// For its entity tag.
    #[serde(skip)]
    pub(crate) version: u64,
}

impl Part {
    pub(crate) fn new(worker: WorkerId) -> Self {
        Self {
            worker,
            id: Arc::default(),
            bound_id: None,
            mirrors: Mirrors::default(),
            empty_since: None,
        }
    }
}

impl Room {
    /// A room that is nowhere yet: whoever makes it adds its first part at once.
    pub(crate) fn new(name: Arc<str>, empty_timeout: Duration) -> Self {
        Self {
            name,
            parts: Vec::new(),
            placed: 0,
            participants: BTreeMap::new(),
            settings: RoomSettings::default(),
            lost: Lost::default(),
            direct: Direct::default(),
            version: rand::random(),
            turn: Arc::default(),
            empty_timeout,
            empty_since: None,
            holders: 0,
        }
    }

    /// Its part on a worker.
    pub(crate) fn part(&self, worker: WorkerId) -> Option<&Part> {
        self.parts.iter().find(|part| part.worker == worker)
    }

    pub(crate) fn part_mut(&mut self, worker: WorkerId) -> Option<&mut Part> {
        self.parts.iter_mut().find(|part| part.worker == worker)
    }

    /// The parts the engines know of: where, and by what name.
    pub(crate) fn bound_parts(&self) -> Vec<(WorkerId, RoomId)> {
        self.parts.iter().filter_map(|part| Some((part.worker, part.bound_id?))).collect()
    }

    /// The worker whose word counts for what all engines of the room tell: the first.
    pub(crate) fn leader(&self) -> Option<WorkerId> {
        self.parts.iter().find(|part| part.bound_id.is_some()).map(|part| part.worker)
    }

    /// What everybody calls the track that the engine of `worker` calls `id`.
    pub(crate) fn track_key(&self, worker: WorkerId, id: TrackId) -> TrackKey {
        match self.part(worker) {
            Some(part) => part.mirrors.key(worker, id),
            None => TrackKey { worker, id },
        }
    }

    /// A track, whoever publishes it.
    pub(crate) fn track(&self, key: TrackKey) -> Option<&Track> {
        self.participants.values().find_map(|participant| participant.tracks.get(&key))
    }

    /// What weighs where a newcomer goes.
    pub(crate) fn newcomer(&self) -> Newcomer {
        let tracks: usize = self.participants.values().map(|p| p.tracks.len()).sum();
        let publishers = self.participants.values().filter(|p| p.door != Door::Whep).count();
        // Who can publish is expected to.
        let tracks = tracks.max(publishers);
        let load = |part: &Part| {
            let there = self.participants.values().filter(|p| p.worker == part.worker).count();
            PartLoad { worker: part.worker, subscriptions: there * tracks }
        };
        Newcomer { parts: self.parts.iter().map(load).collect(), subscriptions: tracks }
    }

    /// Those others know of.
    pub(crate) fn visible(&self) -> impl Iterator<Item = &Participant> {
        self.participants.values().filter(|participant| participant.is_visible())
    }

    /// Those who hear of others.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = &Participant> {
        self.participants.values().filter(|participant| participant.is_entered())
    }

    /// Tells everybody but `except`.
    pub(crate) fn tell_others(&self, except: Option<ParticipantId>, message: &Json) {
        for participant in self.listeners().filter(|participant| Some(participant.id) != except) {
            participant.outbox.push(message);
        }
    }

    /// Tells everybody whose connection is on `worker`, but `except`.
    pub(crate) fn tell_those_on(
        &self,
        worker: WorkerId,
        except: Option<ParticipantId>,
        message: &Json,
    ) {
        let there = self.listeners().filter(|participant| participant.worker == worker);
        for participant in there.filter(|participant| Some(participant.id) != except) {
            participant.outbox.push(message);
        }
    }

    /// Who is there under an identity, viewers left out.
    pub(crate) fn participant_of(&self, identity: &str) -> Option<ParticipantId> {
        let is_it = |participant: &&Participant| {
            let own = participant.grant.identity.as_ref();
            participant.door != Door::Whep && own.is_some_and(|own| *own.name == *identity)
        };
        self.participants.values().find(is_it).map(|participant| participant.id)
    }

    /// Names and metadata of everybody, in bytes.
    pub(crate) fn metadata_bytes(&self) -> usize {
        self.participants.values().map(|p| p.name.len() + p.metadata.len()).sum()
    }

    pub(crate) fn view(&self) -> RoomView {
        let participants = self.listeners().count();
        RoomView {
            name: self.name.to_string(),
            participants,
            viewers: self.participants.len() - participants,
            tracks: self.participants.values().map(|p| p.tracks.len()).sum(),
            empty_timeout: self.empty_timeout.as_secs(),
            settings: self.settings.clone(),
            version: self.version,
        }
    }
}
