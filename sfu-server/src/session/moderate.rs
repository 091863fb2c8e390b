//! What moderators do to participants beside mute and kick, and participants to themselves.

use std::collections::BTreeSet;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use sfu_core::command::{Command, DataMessage, Reliability};
use sfu_core::id::ParticipantId;

use super::grant::PermissionsChange;
use super::message::{Json, ServerEvent};
use super::participant::{Participant, check_name};
use super::requests::{
    DataRequest, ParticipantDetail, detail, no_such_participant, no_such_room, no_such_track,
    participant,
};
use super::{ErrorCode, IfMatch, SessionError, Sessions, TrackKey, forbidden};
use crate::limits;
use crate::media::MediaError;

/// A change of a participant: what is absent stays as it is.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParticipantChange {
    /// At most 256 bytes.
    pub(crate) name: Option<String>,
    /// At most 64 KiB.
    pub(crate) metadata: Option<String>,
    pub(crate) permissions: Option<PermissionsChange>,
}

impl Sessions {
    /// Changes a participant. What it may no longer do has ended when this returns.
    pub(crate) async fn change_participant(
        self: &Arc<Self>,
        room: String,
        id: ParticipantId,
        change: ParticipantChange,
        if_match: IfMatch,
    ) -> Result<ParticipantDetail, SessionError> {
        // In a task of its own: whoever asked may hang up between the engine's change and ours.
        let sessions = Arc::clone(self);
        let change = async move {
            let grant = {
                let mut registry = sessions.registry.lock();
                let (_, participant) = participant(&mut registry, &room, id)?;
                if_match.admits_version(participant.version)?;
                let grant = &participant.grant;
                let grant = change.permissions.as_ref().map(|change| change.apply(grant));
                let grant = grant.transpose()?;
                // Of two changes with the same tag only one passes.
                participant.version = participant.version.wrapping_add(1);
                grant
            };
            // What can be refused comes first.
            sessions.rename(&room, id, change.name, change.metadata)?;
            if let Some(grant) = grant {
                sessions.permit(&room, id, grant).await?;
            }
            let mut registry = sessions.registry.lock();
            Ok(detail(participant(&mut registry, &room, id)?.1))
        };
        let task = self.runtime.spawn(change);
        task.await.unwrap_or_else(|_| Err(MediaError::Panicked.into()))
    }

    /// A participant changes its own name or metadata.
    pub(crate) fn update(
        &self,
        room: &str,
        id: ParticipantId,
        name: Option<String>,
        metadata: Option<String>,
    ) -> Result<(), SessionError> {
        let may = {
            let mut registry = self.registry.lock();
            let (_, participant) = registry.participant(room, id).ok_or_else(SessionError::gone)?;
            participant.version = participant.version.wrapping_add(1);
            participant.grant.updates_itself
        };
        if !may {
            return Err(forbidden("one may not change one's own name or metadata"));
        }
        self.rename(room, id, name, metadata)
    }

    fn rename(
        &self,
        room: &str,
        id: ParticipantId,
        name: Option<String>,
        metadata: Option<String>,
    ) -> Result<(), SessionError> {
        if name.is_none() && metadata.is_none() {
            return Ok(());
        }
        if let Some(name) = &name {
            check_name("the name", name, 0)?;
        }
        if metadata.as_ref().is_some_and(|m| m.len() > limits::METADATA_BYTES_MAX) {
            return Err(SessionError::new(ErrorCode::Limit, "the metadata is over 64 KiB"));
        }
        let mut registry = self.registry.lock();
        let this = registry.room_by_name.get_mut(room).ok_or_else(no_such_room)?;
        let others = this.metadata_bytes();
        let participant = this.participants.get_mut(&id).ok_or_else(no_such_participant)?;
        let own = participant.name.len() + participant.metadata.len();
        let name = name.unwrap_or_else(|| participant.name.clone());
        let metadata = metadata.unwrap_or_else(|| participant.metadata.clone());
        if others - own + name.len() + metadata.len() > limits::ROOM_METADATA_BYTES_MAX {
            let detail = "the participants' metadata is over 1 MiB together";
            return Err(SessionError::new(ErrorCode::Limit, detail));
        }
        participant.name.clone_from(&name);
        participant.metadata.clone_from(&metadata);
        let event =
            Json::of(&ServerEvent::ParticipantUpdated { participant: id.into(), name, metadata });
        if participant.is_visible() {
            this.tell_others(None, &event);
        } else {
            participant.outbox.push(&event);
        }
        Ok(())
    }

    /// Makes a participant's subscriptions these tracks and no others.
    pub(crate) async fn set_subscriptions(
        &self,
        room: &str,
        id: ParticipantId,
        wanted: BTreeSet<TrackKey>,
    ) -> Result<(), SessionError> {
        if wanted.len() > sfu_core::limits::SUBSCRIPTIONS_PER_PEER_MAX {
            return Err(SessionError::new(ErrorCode::Limit, "more than 250 tracks"));
        }
        {
            let mut registry = self.registry.lock();
            let (_, asked) = participant(&mut registry, room, id)?;
            if !asked.grant.permissions.subscribe {
                return Err(forbidden("this participant may not subscribe"));
            }
            let own = asked.tracks.keys().any(|track| wanted.contains(track));
            let room = registry.room_by_name.get(room).ok_or_else(no_such_room)?;
            if own || wanted.iter().any(|&track| room.track(track).is_none()) {
                return Err(no_such_track());
            }
        }
        let decisions = self.decisions(room, id).await?;
        let present: BTreeSet<TrackKey> = decisions
            .subscriptions
            .iter()
            .map(|decision| TrackKey::from_wire(decision.track.to_wire()))
            .collect();
        for &track in present.difference(&wanted) {
            match self.subscribe(room, id, track, false).await {
                // It ended meanwhile.
                Err(error) if error.code == ErrorCode::NoSuchTrack => {}
                result => result?,
            }
        }
        for &track in wanted.difference(&present) {
            self.subscribe(room, id, track, true).await?;
        }
        Ok(())
    }

    /// A message of the server.
    pub(crate) async fn send_data_to(
        &self,
        room: &str,
        request: DataRequest,
    ) -> Result<(), SessionError> {
        if request.payload.len() > sfu_core::limits::DATA_MESSAGE_BYTES_MAX {
            return Err(SessionError::new(ErrorCode::Limit, "the payload is over 64 KiB"));
        }
        if request.to.len() > sfu_core::limits::DATA_ADDRESSEES_MAX {
            return Err(SessionError::new(ErrorCode::Limit, "more than 64 addressees"));
        }
        let part = {
            let registry = self.registry.lock();
            let room = registry.room_by_name.get(room).ok_or_else(no_such_room)?;
            let is_there = |id| room.participants.get(id).is_some_and(Participant::is_entered);
            if !request.to.iter().all(is_there) {
                return Err(no_such_participant());
            }
            room.bound_parts().first().copied()
        };
        // Without a part there is nobody to hear it.
        let Some((worker, room)) = part else { return Ok(()) };
        let reliability =
            if request.is_reliable { Reliability::Reliable } else { Reliability::Lossy };
        let message = DataMessage {
            from: None,
            to: request.to,
            reliability,
            text: true,
            payload: request.payload.into(),
        };
        match self.media.call(worker, Command::SendData { room, message }).await {
            Ok(_) => Ok(()),
            Err(MediaError::Refused(_)) => Err(no_such_room()),
            Err(error) => Err(error.into()),
        }
    }

    /// The identity of somebody in a room.
    pub(crate) fn identity(&self, room: &str, id: ParticipantId) -> Option<Arc<str>> {
        let mut registry = self.registry.lock();
        let (_, participant) = registry.participant(room, id)?;
        participant.grant.identity.as_ref().map(|identity| Arc::clone(&identity.name))
    }
}
