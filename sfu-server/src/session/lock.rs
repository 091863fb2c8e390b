//! Locked rooms: nobody new comes in, and whoever's network failed comes back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sfu_core::id::ParticipantId;
use tokio::time::Instant;

use super::grant::Grant;
use super::room::Room;
use super::settings::SettingsChange;
use super::{ErrorCode, IfMatch, SessionError, Sessions, forbidden};
use crate::limits;

/// How long somebody whose connection was lost may come back to a locked room. A client gives up
/// sooner.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(60);

/// The identities that a room has lost of late.
#[derive(Debug, Default)]
pub(crate) struct Lost(BTreeMap<Arc<str>, Instant>);

impl Lost {
    /// Notes that the connection of `identity` was lost. Beyond the bound nobody is noted: of so
    /// many, most have ended by now.
    pub(super) fn note(&mut self, identity: Arc<str>, now: Instant) {
        self.0.retain(|_, at| now < *at + COMES_BACK_WITHIN);
        if self.0.len() < limits::LOST_IDENTITIES_MAX {
            self.0.insert(identity, now);
        }
    }

    fn is_noted(&self, identity: &str, now: Instant) -> bool {
        self.0.get(identity).is_some_and(|at| now < *at + COMES_BACK_WITHIN)
    }
}

impl Room {
    /// Refuses who may not come in while the room is locked. Where nobody needs a token everybody
    /// may lock and unlock, so nobody is let in for that.
    pub(super) fn check_unlocked(&self, grant: &Grant, now: Instant) -> Result<(), SessionError> {
        let is_known =
            |name: &str| self.participant_of(name).is_some() || self.lost.is_noted(name, now);
        let identity = grant.identity.as_ref();
        if !self.settings.locked
            || identity.is_some_and(|identity| grant.administers || is_known(&identity.name))
        {
            return Ok(());
        }
        Err(SessionError::new(ErrorCode::RoomLocked, "the room is locked"))
    }
}

impl Sessions {
    /// A participant locks or unlocks its room.
    pub(crate) async fn lock(
        self: &Arc<Self>,
        room: &str,
        id: ParticipantId,
        locked: bool,
    ) -> Result<(), SessionError> {
        self.check_administers(room, id)?;
        let change = SettingsChange { locked: Some(locked), ..SettingsChange::default() };
        self.change_settings(room.to_owned(), change, IfMatch::Any).await.map(drop)
    }

    /// Refuses who does not administer its room.
    pub(super) fn check_administers(
        &self,
        room: &str,
        id: ParticipantId,
    ) -> Result<(), SessionError> {
        let mut registry = self.registry.lock();
        let (_, participant) = registry.participant(room, id).ok_or_else(SessionError::gone)?;
        if participant.grant.administers {
            return Ok(());
        }
        Err(forbidden("this takes a token with roomAdmin for the room"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Identity;

    fn grant(name: &str, administers: bool) -> Grant {
        let identity = Some(Identity { name: name.into(), issued_at: 0 });
        Grant { identity, administers, ..Grant::everything() }
    }

    #[test]
    fn a_locked_room_admits_its_administrators_and_whom_it_lost_of_late() {
        let now = Instant::now();
        let mut room = Room::new("r".into(), Duration::ZERO);
        assert_eq!(room.check_unlocked(&grant("ann", false), now), Ok(()));
        room.settings.locked = true;
        room.lost.note("ben".into(), now);
        let refused = |grant: &Grant, now| {
            let refusal = room.check_unlocked(grant, now).err();
            refusal.map(|e| assert_eq!(e.code, ErrorCode::RoomLocked)).is_some()
        };
        assert!(refused(&grant("ann", false), now));
        assert!(!refused(&grant("ann", true), now));
        assert!(!refused(&grant("ben", false), now + Duration::from_secs(59)));
        assert!(refused(&grant("ben", false), now + Duration::from_secs(60)));
        assert!(refused(&Grant::everything(), now), "without tokens everybody administers");
    }

    #[test]
    fn what_is_remembered_of_the_lost_is_bounded_and_ends() {
        let now = Instant::now();
        let mut lost = Lost::default();
        for n in 0..2 * limits::LOST_IDENTITIES_MAX {
            lost.note(n.to_string().into(), now);
        }
        assert_eq!(lost.0.len(), limits::LOST_IDENTITIES_MAX);
        lost.note("later".into(), now + COMES_BACK_WITHIN);
        assert_eq!(lost.0.len(), 1);
    }
}
