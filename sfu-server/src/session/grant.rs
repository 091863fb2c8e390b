//! What a participant may do, from its entry on and as moderators change it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sfu_core::command::{Command, Permissions, Source, Sources};
use sfu_core::id::ParticipantId;

use super::message::{Json, ServerEvent, source_name};
use super::requests::participant;
use super::{ErrorCode, SessionError, Sessions, source_by_name};
use crate::media::MediaError;

/// What somebody enters a room with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Who it is, where tokens say so. In a room there is one participant of an identity.
    pub(crate) identity: Option<Identity>,
    pub(crate) permissions: Permissions,
    /// Nobody is told of it.
    pub(crate) hidden: bool,
    /// Whether it may change its own name and metadata.
    pub(crate) updates_itself: bool,
    /// Whether it may change its room and who is in it.
    pub(crate) administers: bool,
}

/// Who somebody is, by whoever signed the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) name: Arc<str>,
    /// When the token was issued: a kick revokes those from before it. Seconds since 1970.
    pub(crate) issued_at: u64,
}

impl Grant {
    /// Of somebody nobody knows, where everybody may do everything.
    pub(crate) const fn everything() -> Self {
        Self {
            identity: None,
            permissions: Permissions::ALL,
            hidden: false,
            updates_itself: true,
            administers: true,
        }
    }

    pub(crate) fn view(&self) -> PermissionsView {
        let Permissions { publish, subscribe, data } = self.permissions;
        PermissionsView {
            can_publish: publish.iter().map(source_name).collect(),
            can_subscribe: subscribe,
            can_publish_data: data,
            can_update_own_metadata: self.updates_itself,
            hidden: self.hidden,
            room_admin: self.administers,
        }
    }
}

/// Permissions as everybody sees them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct PermissionsView {
    /// The sources it may publish from.
    can_publish: Vec<&'static str>,
    can_subscribe: bool,
    can_publish_data: bool,
    can_update_own_metadata: bool,
    hidden: bool,
    /// Whether it may change its room and who is in it.
    room_admin: bool,
}

/// A change of permissions: what is absent stays as it is.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PermissionsChange {
    /// The sources it may publish from, all of them.
    can_publish: Option<Vec<String>>,
    can_subscribe: Option<bool>,
    can_publish_data: Option<bool>,
    can_update_own_metadata: Option<bool>,
}

impl PermissionsChange {
    /// `grant` after this change.
    pub(super) fn apply(&self, grant: &Grant) -> Result<Grant, SessionError> {
        let mut after = grant.clone();
        let permissions = &mut after.permissions;
        if let Some(names) = &self.can_publish {
            let sources = names.iter().map(|name| source_by_name(name));
            permissions.publish = sources
                .collect::<Option<Vec<Source>>>()
                .ok_or_else(|| SessionError::new(ErrorCode::Malformed, "an unknown source"))?
                .into_iter()
                .fold(Sources::NONE, Sources::with);
            if grant.hidden && permissions.publish != Sources::NONE {
                let detail = "who is hidden cannot publish";
                return Err(SessionError::new(ErrorCode::Limit, detail));
            }
        }
        permissions.subscribe = self.can_subscribe.unwrap_or(permissions.subscribe);
        permissions.data = self.can_publish_data.unwrap_or(permissions.data);
        after.updates_itself = self.can_update_own_metadata.unwrap_or(after.updates_itself);
        Ok(after)
    }
}

impl Sessions {
    /// Puts a participant's permissions in force: in the engine first, so that nothing goes on of
    /// what is taken away, and then the participant is told.
    pub(super) async fn permit(
        &self,
        room: &str,
        id: ParticipantId,
        grant: Grant,
    ) -> Result<(), SessionError> {
        let (worker, peer) = {
            let mut registry = self.registry.lock();
            let (worker, participant) = participant(&mut registry, room, id)?;
            (worker, participant.peer.ok_or_else(SessionError::gone)?)
        };
        let command = Command::Permit { peer, permissions: grant.permissions };
        match self.media.call_patiently(worker, command).await {
            Ok(_) => {}
            Err(MediaError::Refused(_)) => return Err(super::requests::no_such_participant()),
            Err(error) => return Err(error.into()),
        }
        let mut registry = self.registry.lock();
        let (_, participant) = participant(&mut registry, room, id)?;
        participant.grant = grant;
        let event = ServerEvent::Permissions(participant.grant.view());
        participant.outbox.push(&Json::of(&event));
        Ok(())
    }
}

pub(crate) fn forbidden(detail: &str) -> SessionError {
    SessionError::new(ErrorCode::Forbidden, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(grant: &Grant, change: &str) -> Result<Permissions, Option<ErrorCode>> {
        let change: PermissionsChange = serde_json::from_str(change).map_err(|_| None)?;
        change.apply(grant).map(|grant| grant.permissions).map_err(|e| Some(e.code))
    }

    #[test]
    fn a_change_of_permissions_keeps_what_it_does_not_name() {
        let all = Grant::everything();
        let camera = Sources::NONE.with(Source::Camera);
        let want = Permissions { publish: camera, ..Permissions::ALL };
        assert_eq!(changed(&all, r#"{"can_publish":["camera"]}"#), Ok(want));
        let want = Permissions { subscribe: false, ..Permissions::ALL };
        assert_eq!(changed(&all, r#"{"can_subscribe":false}"#), Ok(want));
        let want = Permissions { publish: Sources::NONE, data: false, ..Permissions::ALL };
        assert_eq!(changed(&all, r#"{"can_publish":[],"can_publish_data":false}"#), Ok(want));
        assert_eq!(changed(&all, "{}"), Ok(Permissions::ALL));
    }

    #[test]
    fn what_is_not_understood_changes_nothing() {
        let all = Grant::everything();
        let hidden = Grant { hidden: true, ..Grant::everything() };
        for (grant, change, want) in [
            (&all, r#"{"can_publish":["warp"]}"#, Some(ErrorCode::Malformed)),
            (&all, r#"{"can_publish":true}"#, None),
            (&all, r#"{"hidden":true}"#, None),
            (&hidden, r#"{"can_publish":["camera"]}"#, Some(ErrorCode::Limit)),
        ] {
            assert_eq!(changed(grant, change), Err(want), "{change}");
        }
        assert!(changed(&hidden, r#"{"can_publish":[]}"#).is_ok());
    }
}
