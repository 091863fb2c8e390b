//! Entering and leaving a room.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sfu_core::command::{Command, Permissions, Reply, SubscribePolicy};
use sfu_core::id::ParticipantId;
use tokio::time::Instant;

use super::grant::Grant;
use super::http_session::HttpState;
use super::outbox::{CloseCode, Outbox};
use super::participant::{Door, LeaveReason, Participant, check_name};
use super::parts::Place;
use super::registry::{Cleanup, Registry};
use super::resume::ResumeKey;
use super::room::Room;
use super::settings::RoomSettings;
use super::{ErrorCode, SessionError, Sessions, WireId};
use crate::limits;
use crate::media::MediaError;
use crate::memory;
use crate::webhooks::Notice;

/// Who wants in.
pub(crate) struct JoinRequest {
    pub(crate) room: String,
    pub(crate) name: String,
    pub(crate) metadata: String,
    pub(crate) door: Door,
    pub(crate) grant: Grant,
    pub(crate) subscribe: SubscribePolicy,
    /// Whether it can exchange media with another participant directly.
    pub(crate) goes_direct: bool,
    /// Where its events go. The first thing it gets is `joined`, as the reply to `request`.
    pub(crate) outbox: Outbox,
    pub(crate) request: Option<u64>,
    /// What another WebSocket may go on with.
    pub(crate) resume_key: Option<ResumeKey>,
    pub(crate) http: Option<HttpState>,
}

/// A participant's place in a room. Dropping it leaves the room as `lost`.
pub(crate) struct Membership {
    sessions: Arc<Sessions>,
    pub(crate) room: Arc<str>,
    pub(crate) participant: ParticipantId,
    reason: LeaveReason,
    /// Whether dropping it leaves.
    is_held: bool,
}

impl Membership {
    /// Leaves as told, not as lost.
    pub(crate) fn leave(mut self) {
        self.reason = LeaveReason::Left;
    }

    /// Leaves it to the registry to end this participant, with its transport or by request.
    pub(crate) fn detach(mut self) {
        self.is_held = false;
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        if self.is_held {
            self.sessions.remove(&self.room, self.participant, self.reason, None);
        }
    }
}

impl Sessions {
    /// Enters a room, which is made if there is none of that name.
    pub(crate) async fn join(
        self: &Arc<Self>,
        request: JoinRequest,
    ) -> Result<Membership, SessionError> {
        self.check_open()?;
        check_name("the room's name", &request.room, 1)?;
        check_name("the name", &request.name, 0)?;
        if request.metadata.len() > limits::METADATA_BYTES_MAX {
            return Err(SessionError::new(ErrorCode::Limit, "the metadata is over 64 KiB"));
        }
        let participant = ParticipantId(rand::random());
        let (subscribe, permissions) = (request.subscribe, request.grant.permissions);
        let door = request.door;
        let (place, replaced) = self.reserve(participant, request)?;
        memory::large_pages();
        self.spawn(replaced);
        // From here on, an error or a dropped future leaves the room again.
        let membership = Membership {
            sessions: Arc::clone(self),
            room: Arc::clone(place.room_name()),
            participant,
            reason: LeaveReason::Lost,
            is_held: true,
        };
        let room = self.engine_room(&place).await?;
        let command = Command::AddPeer { room, participant, subscribe };
        if let Reply::Peer(peer) = self.media.call(place.worker, command).await?
            && permissions != Permissions::ALL
        {
            // Before its first offer: nothing is published or received until then.
            let command = Command::Permit { peer, permissions };
            self.media.call(place.worker, command).await?;
        }
        let (room, id) = (&*membership.room, WireId::from(participant));
        // All that the request, or the WebSocket, still logs is about this participant.
        tracing::Span::current().record("room", room).record("participant", id.to_string());
        tracing::info!(room, participant = %id, door = door.name(), "joined");
        Ok(membership)
    }

    /// Refuses while the server is about to stop, or full.
    pub(super) fn check_open(&self) -> Result<(), SessionError> {
        if self.is_draining() {
            return Err(SessionError::draining());
        }
        if self.is_overloaded() {
            self.counters.overloads.fetch_add(1, Ordering::Relaxed);
            return Err(SessionError::overloaded());
        }
        Ok(())
    }

    /// Writes the participant into its room, in the place of whoever has its identity there.
    /// Nobody is told yet: that happens once the engine has added it, in the order of the engine's
    /// events.
    fn reserve(
        &self,
        id: ParticipantId,
        request: JoinRequest,
    ) -> Result<(Place, Cleanup), SessionError> {
        let mut registry = self.registry.lock();
        let identity = request.grant.identity.clone();
        if let Some(identity) = &identity {
            // Under the lock: a kick comes before this or finds the participant.
            let who = (request.room.as_str(), &*identity.name);
            if registry.kicks.revoke(who, identity.issued_at, Instant::now()) {
                return Err(SessionError::unauthorized());
            }
        }
        let settings = RoomSettings::default();
        let room = self.room_entry(&mut registry, &request.room, Duration::ZERO, settings)?;
        room.check_unlocked(&request.grant, Instant::now())?;
        let replaced = identity
            .filter(|_| request.door != Door::Whep)
            .and_then(|identity| room.participant_of(&identity.name));
        let own = room.settings.max_participants.map_or(usize::MAX, usize::from);
        let max = self.settings.now().limits.max_participants_per_room.min(own);
        if room.participants.len() - usize::from(replaced.is_some()) >= max {
            return Err(SessionError::new(ErrorCode::RoomFull, "the room is full"));
        }
        let metadata_bytes = request.name.len() + request.metadata.len();
        if room.metadata_bytes() + metadata_bytes > limits::ROOM_METADATA_BYTES_MAX {
            let detail = "the participants' metadata is over 1 MiB together";
            return Err(SessionError::new(ErrorCode::Limit, detail));
        }
        let worker = self.worker_for_one_more(room);
        let mut participant =
            Participant::new(id, request.name, request.metadata, request.door, worker);
        participant.grant = request.grant;
        participant.outbox = request.outbox;
        participant.join_request = request.request;
        participant.resume_key = request.resume_key;
        participant.goes_direct = request.goes_direct;
        let token = request.http.as_ref().map(|http| Box::from(http.token()));
        participant.http = request.http;
        room.participants.insert(id, participant);
        // Here, since everybody who was here is counted when leaving, even in the middle of this.
        self.counters.joins.fetch_add(1, Ordering::Relaxed);
        room.empty_since = None;
        let place = Place::on(room, worker);
        if let Some(token) = token {
            registry.participant_by_token.insert(token, (Arc::clone(place.room_name()), id));
        }
        registry.review_direct(place.room_name());
        let mut cleanup = Cleanup::default();
        if let Some(replaced) = replaced {
            let close = Some((CloseCode::Replaced, "the same identity entered again"));
            let reason = LeaveReason::Replaced;
            cleanup = registry.remove_participant(place.room_name(), replaced, reason, close);
            self.counters.leaves.fetch_add(1, Ordering::Relaxed);
        }
        Ok((place, cleanup))
    }

    /// The room of this name, made if need be.
    fn room_entry<'a>(
        &self,
        registry: &'a mut Registry,
        name: &str,
        empty_timeout: Duration,
        settings: RoomSettings,
    ) -> Result<&'a mut Room, SessionError> {
        if !registry.room_by_name.contains_key(name) {
            if registry.room_by_name.len() >= self.settings.now().limits.max_rooms {
                return Err(SessionError::new(ErrorCode::ServerFull, "too many rooms"));
            }
            let name: Arc<str> = Arc::from(name);
            registry.webhooks.tell(&Notice::RoomStarted { room: &name });
            let mut room = Room::new(Arc::clone(&name), empty_timeout);
            room.settings = settings;
            registry.room_by_name.insert(name, room);
        }
        Ok(registry.room_by_name.get_mut(name).expect("inserted above if it was missing"))
    }

    /// Makes a room that stays for `empty_timeout` while it is empty. An existing one is kept as
    /// it is. Returns whether it is new.
    pub(crate) async fn create_room(
        self: &Arc<Self>,
        name: &str,
        empty_timeout: Duration,
        settings: RoomSettings,
    ) -> Result<bool, SessionError> {
        self.check_open()?;
        check_name("the room's name", name, 1)?;
        let (place, is_new) = {
            let mut registry = self.registry.lock();
            let is_new = !registry.room_by_name.contains_key(name);
            let room = self.room_entry(&mut registry, name, empty_timeout, settings)?;
            room.holders += 1;
            if room.parts.is_empty() {
                let worker = self.worker_for_a_room(room);
                Place::on(room, worker);
            }
            (Place::first(room), is_new)
        };
        let held = Held { sessions: self, place };
        let made = self.engine_room(&held.place).await;
        if made.is_err() && is_new {
            // Nothing is to stay of a room that could not be made.
            if let Some(room) = held.place.find_room(&mut self.registry.lock()) {
                room.empty_timeout = Duration::ZERO;
            }
        }
        drop(held);
        made.map(|_| is_new)
    }

    /// Keeps a room from being removed while it is empty.
    pub(super) fn hold_room(&self, name: &str) -> Option<Held<'_>> {
        let mut registry = self.registry.lock();
        let room = registry.room_by_name.get_mut(name)?;
        room.holders += 1;
        Some(Held { sessions: self, place: Place::first(room) })
    }

    /// Takes a participant out of its room. False if it was not there.
    pub(crate) fn remove(
        &self,
        room: &str,
        id: ParticipantId,
        reason: LeaveReason,
        close: Option<(CloseCode, &'static str)>,
    ) -> bool {
        let (was_there, cleanup) = {
            let mut registry = self.registry.lock();
            let was_there = registry.participant(room, id).is_some();
            (was_there, registry.remove_participant(room, id, reason, close))
        };
        if was_there {
            self.counters.leaves.fetch_add(1, Ordering::Relaxed);
            tracing::info!(room, participant = %WireId::from(id), ?reason, "left");
        }
        self.spawn(cleanup);
        was_there
    }

    /// Removes everybody, then the room. False if there is no such room.
    pub(crate) fn close_room(&self, room: &str) -> bool {
        let cleanup =
            self.registry.lock().close_room(room, CloseCode::RoomClosed, "the room was closed");
        cleanup.map(|cleanup| self.spawn(cleanup)).is_some()
    }

    /// Sends the commands of `cleanup` without anybody waiting for them.
    pub(super) fn spawn(&self, cleanup: Cleanup) {
        if cleanup.0.is_empty() {
            return;
        }
        let media = self.media.clone();
        self.runtime.spawn(async move { carry_out(&media, cleanup).await });
    }
}

/// Sends the commands of `cleanup`, one after the other.
pub(super) async fn carry_out(media: &crate::media::MediaHandle, cleanup: Cleanup) {
    for (worker, command) in cleanup.0 {
        match media.call_patiently(worker, command).await {
            // Gone already is as good as gone now.
            Ok(_) | Err(MediaError::Refused(_) | MediaError::Stopped) => {}
            Err(e) => tracing::error!("something stays behind in the engine: {e}"),
        }
    }
}

/// Keeps a room from being removed.
pub(super) struct Held<'a> {
    sessions: &'a Sessions,
    pub(super) place: Place,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut registry = self.sessions.registry.lock();
        // Another room of its name is held by others.
        if self.place.find_room(&mut registry).is_none() {
            return;
        }
        let cleanup = registry.release(self.place.room_name());
        drop(registry);
        self.sessions.spawn(cleanup);
    }
}
