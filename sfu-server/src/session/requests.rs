//! What participants and operators ask for beside joining and offers.

use std::time::Duration;

use sfu_core::command::{
    Command, DataMessage, PublishRequest, Reliability, Reply, Source, SubscribePolicy,
};
use sfu_core::id::{Mid, ParticipantId, PeerId, RoomId};
use sfu_core::stats::PeerStats;
use tokio::time::Instant;

use super::message::{WireId, source_name};
use super::outbox::CloseCode;
use super::participant::{Participant, check_name, label};
use super::room::{Room, RoomView};
use super::track::TrackKey;
use super::{Door, ErrorCode, LeaveReason, ParticipantView, PermissionsView};
use super::{SessionError, Sessions, forbidden, registry::Registry};
use crate::media::WorkerId;
use crate::{auth, limits};

/// A message to others of the room.
pub(crate) struct DataRequest {
    pub(crate) payload: String,
    /// Empty: everybody else.
    pub(crate) to: Vec<ParticipantId>,
    pub(crate) is_reliable: bool,
}

/// A participant with what only operators see.
pub(crate) struct ParticipantDetail {
    pub(crate) view: ParticipantView,
    pub(crate) door: Door,
    pub(crate) transport: &'static str,
    pub(crate) identity: Option<String>,
    pub(crate) permissions: PermissionsView,
    pub(crate) version: u64,
}

impl Sessions {
    /// Announces what an m-line will carry once it sends.
    pub(crate) fn publish(
        &self,
        room: &str,
        id: ParticipantId,
        request: PublishRequest,
    ) -> Result<(), SessionError> {
        let mut registry = self.registry.lock();
        let (_, participant) = registry.participant(room, id).ok_or_else(SessionError::gone)?;
        if !participant.grant.permissions.publish.contains(request.source) {
            return Err(forbidden("one may not publish from this source"));
        }
        let requests = &mut participant.publish_requests;
        if requests.len() >= limits::PUBLISH_REQUESTS_MAX && !requests.contains_key(&request.mid) {
            return Err(SessionError::new(ErrorCode::Limit, "too many publish requests"));
        }
        requests.insert(request.mid.clone(), request);
        Ok(())
    }

    /// Mutes or unmutes one's own track.
    pub(crate) async fn mute(
        &self,
        room: &str,
        id: ParticipantId,
        track: TrackKey,
        muted: bool,
    ) -> Result<(), SessionError> {
        self.check_own_track(room, id, track)?;
        self.media.call(track.worker, Command::Mute { track: track.id, muted }).await?;
        Ok(())
    }

    /// Ends one's own track.
    pub(crate) async fn unpublish(
        &self,
        room: &str,
        id: ParticipantId,
        track: TrackKey,
    ) -> Result<(), SessionError> {
        self.check_own_track(room, id, track)?;
        self.media.call(track.worker, Command::Unpublish { track: track.id }).await?;
        Ok(())
    }

    fn check_own_track(
        &self,
        room: &str,
        id: ParticipantId,
        track: TrackKey,
    ) -> Result<(), SessionError> {
        let registry = self.registry.lock();
        let room = registry.room_by_name.get(room).ok_or_else(SessionError::gone)?;
        let participant = room.participants.get(&id).ok_or_else(SessionError::gone)?;
        if participant.tracks.contains_key(&track) {
            return Ok(());
        }
        room.track(track).ok_or_else(no_such_track)?;
        Err(SessionError::new(ErrorCode::NotYours, "the track belongs to somebody else"))
    }

    /// Starts or ends the interest in a track of the same room.
    pub(crate) async fn subscribe(
        &self,
        room: &str,
        id: ParticipantId,
        key: TrackKey,
        wanted: bool,
    ) -> Result<(), SessionError> {
        let (worker, peer, track) = {
            let registry = self.registry.lock();
            let Connection { room, worker, peer, .. } = connection(&registry, room, id)?;
            let track = room.track(key).and_then(|track| track.local.get(&worker));
            (worker, peer, *track.ok_or_else(no_such_track)?)
        };
        let command = if wanted {
            Command::Subscribe { peer, track }
        } else {
            Command::Unsubscribe { peer, track }
        };
        let result = self.media.call(worker, command).await;
        if !wanted && let Some((_, participant)) = self.registry.lock().participant(room, id) {
            participant.paused.remove(&key);
        }
        result?;
        Ok(())
    }

    /// Sends a message to others of the room.
    pub(crate) async fn send_data(
        &self,
        room: &str,
        id: ParticipantId,
        request: DataRequest,
    ) -> Result<(), SessionError> {
        if request.payload.len() > sfu_core::limits::DATA_MESSAGE_BYTES_MAX {
            return Err(SessionError::new(ErrorCode::Limit, "the payload is over 64 KiB"));
        }
        if request.to.len() > sfu_core::limits::DATA_ADDRESSEES_MAX {
            return Err(SessionError::new(ErrorCode::Limit, "more than 64 addressees"));
        }
        let (worker, room_id) = {
            let registry = self.registry.lock();
            let Connection { room, worker, room_id, .. } = connection(&registry, room, id)?;
            if !room.participants[&id].grant.permissions.data {
                return Err(forbidden("one may not send messages"));
            }
            let is_absent = |to: &&ParticipantId| {
                !room.participants.get(to).is_some_and(Participant::is_visible)
            };
            if let Some(absent) = request.to.iter().find(is_absent) {
                let detail = format!("there is no participant {absent}");
                return Err(SessionError::new(ErrorCode::NoSuchParticipant, detail));
            }
            (worker, room_id)
        };
        // That engine passes it on to the others of the room.
        let message = DataMessage {
            from: Some(id),
            to: request.to,
            reliability: if request.is_reliable {
                Reliability::Reliable
            } else {
                Reliability::Lossy
            },
            text: true,
            payload: request.payload.into(),
        };
        self.media.call(worker, Command::SendData { room: room_id, message }).await?;
        Ok(())
    }

    /// Mutes or unmutes somebody's track; its owner is told.
    pub(crate) async fn mute_by_server(
        &self,
        room: &str,
        id: ParticipantId,
        key: TrackKey,
        muted: bool,
    ) -> Result<(), SessionError> {
        {
            let mut registry = self.registry.lock();
            let (_, participant) = participant(&mut registry, room, id)?;
            let track = participant.tracks.get_mut(&key).ok_or_else(no_such_track)?;
            track.tell_owner = true;
        }
        self.media.call(key.worker, Command::Mute { track: key.id, muted }).await?;
        Ok(())
    }

    /// Removes a participant, also one that is still joining, and the viewers of its identity; their
    /// connections are closed, and tokens from before are worth nothing.
    pub(crate) fn kick(&self, room: &str, id: ParticipantId) -> Result<(), SessionError> {
        let lasts = self.settings.now().auth.kick();
        let mut kicked = vec![id];
        {
            let mut registry = self.registry.lock();
            let there = &registry.room_by_name.get(room).ok_or_else(no_such_room)?.participants;
            let meant = there.get(&id).filter(|meant| meant.door != Door::Whep);
            let identity = meant.ok_or_else(no_such_participant)?.grant.identity.clone();
            if let Some(identity) = identity {
                let is_it = |other: &&Participant| {
                    let own = other.grant.identity.as_ref();
                    other.id != id && own.is_some_and(|own| own.name == identity.name)
                };
                kicked.extend(there.values().filter(is_it).map(|other| other.id));
                let who = (room, &*identity.name);
                registry.kicks.note(who, auth::unix_now(), Instant::now(), lasts);
            }
        }
        for id in kicked {
            self.remove(room, id, LeaveReason::Kicked, Some((CloseCode::Kicked, "removed")));
        }
        Ok(())
    }

    /// Every room, by name.
    pub(crate) fn rooms(&self) -> Vec<RoomView> {
        let registry = self.registry.lock();
        let mut rooms: Vec<RoomView> = registry.room_by_name.values().map(Room::view).collect();
        drop(registry);
        rooms.sort_by(|a, b| a.name.cmp(&b.name));
        rooms
    }

    /// One room.
    pub(crate) fn room(&self, name: &str) -> Result<RoomView, SessionError> {
        let registry = self.registry.lock();
        registry.room_by_name.get(name).map(Room::view).ok_or_else(no_such_room)
    }

    /// Who is in a room, viewers left out.
    pub(crate) fn participants(&self, room: &str) -> Result<Vec<ParticipantDetail>, SessionError> {
        let registry = self.registry.lock();
        let room = registry.room_by_name.get(room).ok_or_else(no_such_room)?;
        Ok(room.listeners().map(detail).collect())
    }

    /// One participant, with its connection's counters if it has one.
    pub(crate) async fn participant_detail(
        &self,
        room: &str,
        id: ParticipantId,
    ) -> Result<(ParticipantDetail, Option<PeerStats>), SessionError> {
        let (worker, peer, detail) = {
            let mut registry = self.registry.lock();
            let (worker, participant) = participant(&mut registry, room, id)?;
            (worker, participant.peer, detail(participant))
        };
        let stats = match peer {
            Some(peer) => match self.media.call(worker, Command::PeerStats { peer }).await {
                Ok(Reply::PeerStats(stats)) => Some(*stats),
                _ => None,
            },
            None => None,
        };
        Ok((detail, stats))
    }

    /// What a WHEP viewer of `room` subscribes to: everything of `participant`, or of the first
    /// who publishes.
    pub(crate) fn viewer_policy(
        &self,
        room: &str,
        followed: Option<ParticipantId>,
    ) -> Result<SubscribePolicy, SessionError> {
        let Some(id) = followed else { return Ok(SubscribePolicy::FirstPublisher) };
        participant(&mut self.registry.lock(), room, id)?;
        Ok(SubscribePolicy::Only(id))
    }

    /// Refuses further joins, tells everybody, and removes all rooms. Returns once the engine has
    /// let go of every peer, or after `patience`.
    pub(crate) async fn drain(&self, patience: Duration) {
        self.begin_drain();
        self.refuse_joins();
        self.stopping.send_replace(true);
        let mut cleanup = super::registry::Cleanup::default();
        {
            let mut registry = self.registry.lock();
            let names: Vec<_> = registry.room_by_name.keys().cloned().collect();
            for name in names {
                let closed =
                    registry.close_room(&name, CloseCode::Draining, "the server is shutting down");
                cleanup.0.extend(closed.into_iter().flat_map(|closed| closed.0));
            }
        }
        let done = super::join::carry_out(&self.media, cleanup);
        if tokio::time::timeout(patience, done).await.is_err() {
            tracing::warn!("not every room was closed in time");
        }
    }
}

/// Reads a `publish` request's fields.
pub(crate) fn publish_request(
    mid: &str,
    source: &str,
    name: &str,
    muted: bool,
) -> Result<PublishRequest, SessionError> {
    if mid.is_empty() || mid.len() > sfu_core::limits::TOKEN_BYTES_MAX {
        let detail = format!("mid must have 1 to {} bytes", sfu_core::limits::TOKEN_BYTES_MAX);
        return Err(SessionError::new(ErrorCode::Malformed, detail));
    }
    let source = source_by_name(source).ok_or_else(|| {
        let detail = "source must be camera, microphone, screen, screen_audio or other";
        SessionError::new(ErrorCode::Malformed, detail)
    })?;
    check_name("the track's name", name, 0)?;
    Ok(PublishRequest { mid: Mid::from(mid), source, name: label(name), muted })
}

/// A source by its name in signalling.
pub(crate) fn source_by_name(name: &str) -> Option<Source> {
    Source::EVERY.into_iter().find(|&source| source_name(source) == name)
}

/// Reads a track id.
pub(crate) fn track_id(text: &str) -> Result<TrackKey, SessionError> {
    WireId::parse(text).map(TrackKey::from_wire).ok_or_else(no_such_track)
}

/// Reads a participant id.
pub(crate) fn participant_id(text: &str) -> Result<ParticipantId, SessionError> {
    WireId::parse(text).map(ParticipantId).ok_or_else(no_such_participant)
}

/// A participant as moderators see it: viewers are none.
pub(super) fn participant<'a>(
    registry: &'a mut Registry,
    room: &str,
    id: ParticipantId,
) -> Result<(WorkerId, &'a mut Participant), SessionError> {
    let room = registry.room_by_name.get_mut(room).ok_or_else(no_such_room)?;
    let participant = room.participants.get_mut(&id).filter(|p| p.is_entered());
    let participant = participant.ok_or_else(no_such_participant)?;
    Ok((participant.worker, participant))
}

/// A participant's room, and what the engine of its worker calls both.
pub(super) struct Connection<'a> {
    pub(super) room: &'a Room,
    pub(super) worker: WorkerId,
    pub(super) peer: PeerId,
    pub(super) room_id: RoomId,
}

/// Finds a participant's [`Connection`].
pub(super) fn connection<'a>(
    registry: &'a Registry,
    room: &str,
    id: ParticipantId,
) -> Result<Connection<'a>, SessionError> {
    let room = registry.room_by_name.get(room).ok_or_else(SessionError::gone)?;
    let participant = room.participants.get(&id).ok_or_else(SessionError::gone)?;
    let worker = participant.worker;
    let peer = participant.peer.ok_or_else(SessionError::gone)?;
    let room_id =
        room.part(worker).and_then(|part| part.bound_id).ok_or_else(SessionError::gone)?;
    Ok(Connection { room, worker, peer, room_id })
}

pub(super) fn detail(participant: &Participant) -> ParticipantDetail {
    ParticipantDetail {
        view: participant.view(),
        door: participant.door,
        transport: participant.transport_name(),
        identity: participant.grant.identity.as_ref().map(|identity| identity.name.to_string()),
        permissions: participant.grant.view(),
        version: participant.version,
    }
}

pub(super) fn no_such_room() -> SessionError {
    SessionError::new(ErrorCode::NoSuchRoom, "there is no such room")
}

pub(super) fn no_such_track() -> SessionError {
    SessionError::new(ErrorCode::NoSuchTrack, "there is no such track in this room")
}

pub(super) fn no_such_participant() -> SessionError {
    SessionError::new(ErrorCode::NoSuchParticipant, "there is no such participant in this room")
}
