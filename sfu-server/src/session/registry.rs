//! All rooms, found by name, by the engine's ids and by session URL. Plain data: whoever holds
//! the lock changes it and carries out the returned [`Cleanup`] afterwards.

use std::collections::HashMap;
use std::sync::Arc;

use sfu_core::command::Command;
use sfu_core::id::{ParticipantId, PeerId, RoomId};
use sfu_core::negotiation::MediaKind;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::message::{Json, ServerEvent};
use super::outbox::CloseCode;
use super::participant::{Door, LeaveReason, Participant};
use super::room::Room;
use crate::media::WorkerId;

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
}

/// Commands to be sent once the lock is released.
#[must_use]
#[derive(Debug, Default)]
pub(super) struct Cleanup(pub(super) Vec<(WorkerId, Command)>);

/// Sizes of everything, for metrics and for tests that look for leaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) rooms: usize,
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

    /// Where the participant of `peer` is.
    pub(super) fn locate(
        &self,
        worker: WorkerId,
        peer: PeerId,
    ) -> Option<(Arc<str>, ParticipantId)> {
        self.participant_by_peer.get(&(worker, peer)).cloned()
    }

    /// A participant by name.
    pub(super) fn participant(
        &mut self,
        room: &str,
        id: ParticipantId,
    ) -> Option<(WorkerId, &mut Participant)> {
        let room = self.room_by_name.get_mut(room)?;
        Some((room.worker, room.participants.get_mut(&id)?))
    }

    /// Notes what the engine calls a room. False if the room is gone, though one of the same name
    /// may have taken its place; `cell` tells them apart.
    pub(super) fn bind_room(
        &mut self,
        name: &Arc<str>,
        cell: &Arc<OnceCell<RoomId>>,
        id: RoomId,
    ) -> bool {
        let Some(room) = self.room_by_name.get_mut(name) else { return false };
        if !Arc::ptr_eq(&room.id, cell) {
            return false;
        }
        room.bound_id = Some(id);
        self.name_by_room.insert((room.worker, id), Arc::clone(name));
        true
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
        let worker = room.worker;
        if let Some((code, why)) = close {
            participant.outbox.close(code, why);
        }
        if participant.is_visible() {
            let left = ServerEvent::ParticipantLeft { participant: id.into(), reason };
            room.tell_others(Some(id), &Json::of(&left));
        }
        if let Some(http) = &participant.http {
            self.participant_by_token.remove(http.token());
        }
        if let Some(peer) = participant.peer {
            self.participant_by_peer.remove(&(worker, peer));
            cleanup.0.push((worker, Command::RemovePeer { peer }));
        }
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
            if let Some(http) = &participant.http {
                self.participant_by_token.remove(http.token());
            }
            if let Some(peer) = participant.peer {
                self.participant_by_peer.remove(&(room.worker, peer));
            }
        }
        self.drop_room(room_name, &mut cleanup);
        Some(cleanup)
    }

    fn drop_room(&mut self, room_name: &str, cleanup: &mut Cleanup) {
        let Some(room) = self.room_by_name.remove(room_name) else { return };
        if let Some(id) = room.bound_id {
            self.name_by_room.remove(&(room.worker, id));
            cleanup.0.push((room.worker, Command::CloseRoom { room: id }));
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

    pub(super) fn census(&self) -> Census {
        let mut census = Census {
            rooms: self.room_by_name.len(),
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
