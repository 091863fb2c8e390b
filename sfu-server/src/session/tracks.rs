//! What the media workers tell of tracks. A track is told of by the worker where it is published,
//! and by every worker that mirrors it: participants hear of it once their own worker knows it, for
//! from then on they may subscribe to it, and until that one has ended it.

use sfu_core::event::TrackInfo;
use sfu_core::id::{Mid, ParticipantId, PeerId, RoomId, TrackId};

use super::message::{AssignedView, Json, ServerEvent};
use super::participant::{Participant, track_view};
use super::registry::Registry;
use super::room::Room;
use super::track::{Track, TrackKey};
use super::{Sessions, WireId};
use crate::media::WorkerId;
use crate::webhooks::Notice;

impl Registry {
    /// The participant of `peer`, and what everybody calls the track that its engine calls `track`.
    pub(super) fn subscriber(
        &mut self,
        worker: WorkerId,
        peer: PeerId,
        track: TrackId,
    ) -> Option<(TrackKey, &mut Participant)> {
        let (room, id) = self.room_by_peer(worker, peer)?;
        let key = room.track_key(worker, track);
        Some((key, room.participants.get_mut(&id)?))
    }
}

impl Sessions {
    pub(super) fn track_published(&self, worker: WorkerId, room: RoomId, info: TrackInfo) {
        let mut registry = self.registry.lock();
        let webhooks = registry.webhooks.clone();
        let Some(room) = registry.room_by_id(worker, room) else { return };
        let key = TrackKey { worker, id: info.track };
        if let Some(participant) = room.participants.get(&info.participant) {
            let (room, participant) = (&*room.name, participant.who());
            let track = track_view(key, &info);
            webhooks.tell(&Notice::TrackPublished { room, participant, track });
        }
        room.track_came(worker, info.track, key, info);
    }

    pub(super) fn track_mirrored(
        &self,
        worker: WorkerId,
        room: RoomId,
        origin: (u8, TrackId),
        info: TrackInfo,
    ) {
        let mut registry = self.registry.lock();
        let Some(room) = registry.room_by_id(worker, room) else { return };
        let key = TrackKey { worker: WorkerId(origin.0), id: origin.1 };
        if let Some(part) = room.part_mut(worker) {
            part.mirrors.begin(info.track, key);
        }
        room.track_came(worker, info.track, key, TrackInfo { track: key.id, ..info });
    }

    pub(super) fn track_unpublished(
        &self,
        worker: WorkerId,
        room: RoomId,
        owner: ParticipantId,
        track: TrackId,
    ) {
        let mut registry = self.registry.lock();
        let webhooks = registry.webhooks.clone();
        let Some(room) = registry.room_by_id(worker, room) else { return };
        let key = TrackKey { worker, id: track };
        let of = |participant: &'_ Participant| Some(participant.tracks.get(&key)?.info.clone());
        if let Some(participant) = room.participants.get(&owner)
            && let Some(info) = of(participant)
        {
            let (room, participant) = (&*room.name, participant.who());
            let track = track_view(key, &info);
            webhooks.tell(&Notice::TrackUnpublished { room, participant, track });
        }
        room.track_went(worker, owner, key);
    }

    pub(super) fn track_unmirrored(
        &self,
        worker: WorkerId,
        room: RoomId,
        owner: ParticipantId,
        track: TrackId,
    ) {
        let mut registry = self.registry.lock();
        let Some(room) = registry.room_by_id(worker, room) else { return };
        let key = room.track_key(worker, track);
        room.track_went(worker, owner, key);
        if let Some(part) = room.part_mut(worker) {
            part.mirrors.end(track);
        }
    }

    pub(super) fn track_muted(
        &self,
        worker: WorkerId,
        room: RoomId,
        owner: ParticipantId,
        track: TrackId,
        muted: bool,
    ) {
        let key = TrackKey { worker, id: track };
        let mut registry = self.registry.lock();
        let Some(room) = registry.room_by_id(worker, room) else { return };
        let Some(participant) = room.participants.get_mut(&owner) else { return };
        let Some(known) = participant.tracks.get_mut(&key) else { return };
        known.info.muted = muted;
        let tell_owner = std::mem::take(&mut known.tell_owner);
        let workers: Vec<WorkerId> = known.local.keys().copied().collect();
        let event = ServerEvent::TrackMuted { participant: owner.into(), track: key.into(), muted };
        let (except, message) = (Some(owner).filter(|_| !tell_owner), Json::of(&event));
        for worker in workers {
            room.tell_those_on(worker, except, &message);
        }
    }

    /// An m-line of a participant carries something else.
    pub(super) fn assigned(
        &self,
        worker: WorkerId,
        peer: PeerId,
        mid: Mid,
        track: Option<(ParticipantId, TrackId)>,
    ) {
        let mut registry = self.registry.lock();
        let Some((room, id)) = registry.room_by_peer(worker, peer) else { return };
        let carried = track.map(|(owner, track)| (owner, room.track_key(worker, track)));
        if let Some(participant) = room.participants.get_mut(&id) {
            let view = AssignedView::new(&mid, carried);
            participant.assigned.insert(mid, carried);
            participant.outbox.push(&Json::of(&ServerEvent::Assigned(view)));
        }
    }
}

impl Room {
    /// The engine of `worker` knows a track from now on, as `id`.
    fn track_came(&mut self, worker: WorkerId, id: TrackId, key: TrackKey, info: TrackInfo) {
        let owner = info.participant;
        let Some(participant) = self.participants.get_mut(&owner) else { return };
        let track = participant.tracks.entry(key).or_insert_with(|| Track::new(info));
        track.local.insert(worker, id);
        let track = track_view(key, &track.info);
        let event = ServerEvent::TrackPublished { participant: owner.into(), track };
        self.tell_those_on(worker, Some(owner), &Json::of(&event));
    }

    /// The engine of `worker` knows it no more.
    fn track_went(&mut self, worker: WorkerId, owner: ParticipantId, key: TrackKey) {
        for subscriber in self.participants.values_mut().filter(|p| p.worker == worker) {
            subscriber.paused.remove(&key);
        }
        // Tracks of somebody who has left are not announced one by one.
        let Some(participant) = self.participants.get_mut(&owner) else { return };
        let Some(track) = participant.tracks.get_mut(&key) else { return };
        if track.local.remove(&worker).is_none() {
            return;
        }
        if track.local.is_empty() {
            participant.tracks.remove(&key);
        }
        let event =
            ServerEvent::TrackUnpublished { participant: owner.into(), track: WireId::from(key) };
        self.tell_those_on(worker, Some(owner), &Json::of(&event));
    }
}
