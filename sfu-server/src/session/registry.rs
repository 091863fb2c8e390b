//! All rooms, found by name, by the engine's ids and by session URL. Plain data: whoever holds
//! the lock changes it and carries out the returned [`Cleanup`] afterwards.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sfu_core::command::Command;
use sfu_core::id::{ParticipantId, PeerId, RoomId};
use sfu_core::negotiation::MediaKind;
use tokio::time::Instant;

use super::direct::PolicyNews;
use super::message::{Json, ServerEvent};
use super::outbox::CloseCode;
use super::participant::{Door, LeaveReason, Participant};
use super::parts::Place;
use super::room::Room;
use crate::auth::Kicks;
use crate::limits::EMPTY_PART_MAX;
use crate::media::WorkerId;
use crate::webhooks::{Notice, Webhooks};

/// A room of one worker's engine.
pub(super) type RoomKey = (WorkerId, RoomId);
/// A peer of one worker's engine.
pub(super) type PeerKey = (WorkerId, PeerId);

/// See the module.
#[derive(Default)]
pub(super) struct Registry {
    pub(super) room_by_name: HashMap<Arc<str>, Room>,
    name_by_room: HashMap<RoomKey, Arc<str>>,
    participant_by_peer: HashMap<PeerKey, (Arc<str>, ParticipantId)>,
    pub(super) participant_by_token: HashMap<Box<str>, (Arc<str>, ParticipantId)>,
    pub(super) kicks: Kicks,
    pub(super) webhooks: Webhooks,
    pub(super) policy_news: PolicyNews,
}

/// Commands to be sent once the lock is released.
#[must_use]
#[derive(Debug, Default)]
pub(super) struct Cleanup(pub(super) Vec<(WorkerId, Command)>);

/// Sizes of everything, for metrics and for tests that look for leaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) rooms: usize,
    /// Of these, rooms on several workers.
    pub(crate) rooms_spanning: usize,
    /// Of these, rooms whose media goes past the server.
    pub(crate) rooms_direct: usize,
    pub(crate) websockets: usize,
    pub(crate) whip: usize,
    pub(crate) whep: usize,
    pub(crate) audio_in: usize,
    pub(crate) video_in: usize,
    pub(crate) audio_out: usize,
    pub(crate) video_out: usize,
    /// Entries of the maps that find participants by other keys.
    pub(crate) index_entries: usize,
}

impl Registry {
    /// The room the engine of `worker` calls `room`.
    pub(super) fn room_by_id(&mut self, worker: WorkerId, room: RoomId) -> Option<&mut Room> {
        let name = self.name_by_room.get(&(worker, room))?;
        self.room_by_name.get_mut(name)
    }

    /// The participant whose connection the engine of `worker` calls `peer`.
    pub(super) fn participant_by_peer(
        &mut self,
        worker: WorkerId,
        peer: PeerId,
    ) -> Option<&mut Participant> {
        let (room, id) = self.participant_by_peer.get(&(worker, peer))?;
        self.room_by_name.get_mut(room)?.participants.get_mut(id)
    }

    /// The room of the participant whose connection the engine of `worker` calls `peer`, and that
    /// participant's name.
    pub(super) fn room_by_peer(
        &mut self,
        worker: WorkerId,
        peer: PeerId,
    ) -> Option<(&mut Room, ParticipantId)> {
        let (room, id) = self.participant_by_peer.get(&(worker, peer))?;
        Some((self.room_by_name.get_mut(room)?, *id))
    }

    /// Where the participant of `peer` is.
    pub(super) fn locate(
        &self,
        worker: WorkerId,
        peer: PeerId,
    ) -> Option<(Arc<str>, ParticipantId)> {
        self.participant_by_peer.get(&(worker, peer)).cloned()
    }

    /// A participant by name, and the worker its connection is on.
    pub(super) fn participant(
        &mut self,
        room: &str,
        id: ParticipantId,
    ) -> Option<(WorkerId, &mut Participant)> {
        let participant = self.room_by_name.get_mut(room)?.participants.get_mut(&id)?;
        Some((participant.worker, participant))
    }

    /// Notes what the engine calls a part of a room. Returns the other parts that engines know of,
    /// or `None` if the part is gone, though another one may have taken its place.
    pub(super) fn bind_part(
        &mut self,
        place: &Place,
        id: RoomId,
    ) -> Option<Vec<(WorkerId, RoomId)>> {
        let room = place.find(self)?;
        let others = room.bound_parts();
        room.part_mut(place.worker)?.bound_id = Some(id);
        let name = Arc::clone(&room.name);
        self.name_by_room.insert((place.worker, id), name);
        Some(others)
    }

    /// Takes a part out of its room: the engine is about to be told.
    pub(super) fn unbind_part(&mut self, place: &Place) -> Option<RoomId> {
        let room = place.find(self)?;
        let id = room.part_mut(place.worker)?.bound_id.take()?;
        self.name_by_room.remove(&(place.worker, id));
        Some(id)
    }

    /// Notes what the engine calls a participant's connection. False if the participant is gone.
    pub(super) fn bind_peer(
        &mut self,
        worker: WorkerId,
        room: RoomId,
        id: ParticipantId,
        peer: PeerId,
    ) -> bool {
        let Some(room) = self.room_by_id(worker, room) else { return false };
        let name = Arc::clone(&room.name);
        let Some(participant) = room.participants.get_mut(&id) else { return false };
        participant.peer = Some(peer);
        self.participant_by_peer.insert((worker, peer), (name, id));
        true
    }

    /// Takes a participant out of its room, tells the others, and removes the room if that was
    /// the last one. `close`: how its own connection is ended, if it has one.
    pub(super) fn remove_participant(
        &mut self,
        room_name: &str,
        id: ParticipantId,
        reason: LeaveReason,
        close: Option<(CloseCode, &'static str)>,
    ) -> Cleanup {
        let mut cleanup = Cleanup::default();
        let Some(room) = self.room_by_name.get_mut(room_name) else { return cleanup };
        let Some(participant) = room.participants.remove(&id) else { return cleanup };
        let worker = participant.worker;
        if let Some((code, why)) = close {
            participant.outbox.close(code, why);
        }
        if participant.is_visible() {
            let left = ServerEvent::ParticipantLeft { participant: id.into(), reason };
            room.tell_others(Some(id), &Json::of(&left));
        }
        if participant.is_entered() {
            let (room, participant) = (room_name, participant.who());
            self.webhooks.tell(&Notice::ParticipantLeft { room, participant, reason });
        }
        if let Some(http) = &participant.http {
            self.participant_by_token.remove(http.token());
        }
        if let (LeaveReason::Lost, Some(identity)) = (reason, &participant.grant.identity) {
            room.lost.note(Arc::clone(&identity.name), Instant::now());
        }
        if let Some(peer) = participant.peer {
            self.participant_by_peer.remove(&(worker, peer));
            cleanup.0.push((worker, Command::RemovePeer { peer }));
        }
        self.review_direct(room_name);
        self.remove_room_if_unused(room_name, &mut cleanup);
        cleanup
    }

    /// Lets go of a room that a request held; see [`Room::holders`].
    pub(super) fn release(&mut self, room_name: &str) -> Cleanup {
        let mut cleanup = Cleanup::default();
        if let Some(room) = self.room_by_name.get_mut(room_name) {
            room.holders = room.holders.saturating_sub(1);
        }
        self.remove_room_if_unused(room_name, &mut cleanup);
        cleanup
    }

    fn remove_room_if_unused(&mut self, room_name: &str, cleanup: &mut Cleanup) {
        let Some(room) = self.room_by_name.get_mut(room_name) else { return };
        if !room.participants.is_empty() || room.holders > 0 {
            return;
        }
        if room.empty_timeout.is_zero() {
            self.drop_room(room_name, cleanup);
        } else {
            room.empty_since.get_or_insert_with(Instant::now);
        }
    }

    /// Sends a message to everybody in every room.
    pub(super) fn tell_everybody(&self, message: &Json) {
        for room in self.room_by_name.values() {
            room.tell_others(None, message);
        }
    }

    /// Removes everybody, then the room. False if there is no such room.
    pub(super) fn close_room(
        &mut self,
        room_name: &str,
        code: CloseCode,
        reason: &'static str,
    ) -> Option<Cleanup> {
        let mut cleanup = Cleanup::default();
        let room = self.room_by_name.get_mut(room_name)?;
        for (_, participant) in std::mem::take(&mut room.participants) {
            participant.outbox.close(code, reason);
            if participant.is_entered() {
                let (room, participant) = (room_name, participant.who());
                let reason = LeaveReason::Closed;
                self.webhooks.tell(&Notice::ParticipantLeft { room, participant, reason });
            }
            if let Some(http) = &participant.http {
                self.participant_by_token.remove(http.token());
            }
            if let Some(peer) = participant.peer {
                self.participant_by_peer.remove(&(participant.worker, peer));
            }
        }
        self.drop_room(room_name, &mut cleanup);
        Some(cleanup)
    }

    fn drop_room(&mut self, room_name: &str, cleanup: &mut Cleanup) {
        let Some(room) = self.room_by_name.remove(room_name) else { return };
        self.webhooks.tell(&Notice::RoomFinished { room: room_name });
        for (worker, id) in room.bound_parts() {
            self.name_by_room.remove(&(worker, id));
            cleanup.0.push((worker, Command::CloseRoom { room: id }));
        }
    }

    /// Removes rooms that have been empty for as long as they may be.
    pub(super) fn sweep(&mut self, now: Instant) -> Cleanup {
        let is_over = |room: &&Room| {
            room.participants.is_empty()
                && room.holders == 0
                && room.empty_since.is_some_and(|since| now >= since + room.empty_timeout)
        };
        let over: Vec<Arc<str>> =
            self.room_by_name.values().filter(is_over).map(|room| room.name.clone()).collect();
        let mut cleanup = Cleanup::default();
        for name in over {
            self.drop_room(&name, &mut cleanup);
        }
        cleanup
    }

    /// Notes since when parts of rooms are empty, and returns those that have been for long.
    pub(super) fn empty_parts(&mut self, now: Instant) -> Vec<Place> {
        let mut over = Vec::new();
        for room in self.room_by_name.values_mut().filter(|room| room.parts.len() > 1) {
            let used: HashSet<WorkerId> = room.participants.values().map(|p| p.worker).collect();
            for part in &mut room.parts {
                if used.contains(&part.worker) {
                    part.empty_since = None;
                } else if now >= *part.empty_since.get_or_insert(now) + EMPTY_PART_MAX {
                    over.push(Place::new(&room.name, &room.turn, part));
                }
            }
        }
        over
    }

    pub(super) fn census(&self) -> Census {
        let mut census = Census {
            rooms: self.room_by_name.len(),
            rooms_spanning: self.room_by_name.values().filter(|r| r.parts.len() > 1).count(),
            rooms_direct: self.room_by_name.values().filter(|r| r.is_direct()).count(),
            index_entries: self.name_by_room.len()
                + self.participant_by_peer.len()
                + self.participant_by_token.len(),
            ..Census::default()
        };
        for room in self.room_by_name.values() {
            for participant in room.participants.values() {
                match participant.door {
                    Door::WebSocket => census.websockets += 1,
                    Door::Whip => census.whip += 1,
                    Door::Whep => census.whep += 1,
                }
                census.audio_in += participant.count_tracks(MediaKind::Audio);
                census.video_in += participant.count_tracks(MediaKind::Video);
                for (owner, track) in participant.assigned.values().flatten() {
                    let owner = room.participants.get(owner);
                    match owner.and_then(|owner| owner.tracks.get(track)).map(|t| t.info.kind) {
                        Some(MediaKind::Audio) => census.audio_out += 1,
                        Some(MediaKind::Video) => census.video_out += 1,
                        None => {}
                    }
                }
            }
        }
        census
    }
}
