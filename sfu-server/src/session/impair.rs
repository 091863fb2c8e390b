//! Bad networks on request, where the configuration allows them: `media.impairments`.

use sfu_core::id::ParticipantId;

use super::message::{Json, ServerEvent};
use super::requests::{no_such_participant, no_such_room};
use super::{ErrorCode, SessionError, Sessions, forbidden};
use crate::media::{Impairment, Leg};

impl Sessions {
    /// A participant makes its own network bad, or somebody else's if it may.
    pub(crate) fn impair_by(
        &self,
        room: &str,
        me: ParticipantId,
        whose: ParticipantId,
        wish: Impairment,
    ) -> Result<(), SessionError> {
        if whose != me {
            self.check_administers(room, me)?;
        }
        self.impair(room, whose, wish)
    }

    /// From now on a participant's network is this bad. It is told.
    pub(crate) fn impair(
        &self,
        room: &str,
        id: ParticipantId,
        wish: Impairment,
    ) -> Result<(), SessionError> {
        self.check_impairments()?;
        if ![wish.downlink, wish.uplink].iter().all(Leg::is_valid) {
            let detail = "loss_percent is over 100, delay_ms over 5000, rate_kbps neither 0 nor 8 \
                          to 1000000, or cut_seconds over 120";
            return Err(SessionError::new(ErrorCode::Limit, detail));
        }
        let mut registry = self.registry.lock();
        registry.room_by_name.get(room).ok_or_else(no_such_room)?;
        let found = registry.participant(room, id);
        let (worker, participant) = found.ok_or_else(no_such_participant)?;
        let peer = participant.peer.ok_or_else(no_such_participant)?;
        // Under the lock, so that the last wish is the same here and there.
        self.media.impair(worker, peer, wish)?;
        participant.impairment = wish;
        participant.outbox.push(&Json::of(&ServerEvent::Impairment(wish)));
        Ok(())
    }

    /// How bad a participant's network was made.
    pub(crate) fn impairment(
        &self,
        room: &str,
        id: ParticipantId,
    ) -> Result<Impairment, SessionError> {
        self.check_impairments()?;
        let mut registry = self.registry.lock();
        registry.room_by_name.get(room).ok_or_else(no_such_room)?;
        let found = registry.participant(room, id);
        found.map(|(_, participant)| participant.impairment).ok_or_else(no_such_participant)
    }

    fn check_impairments(&self) -> Result<(), SessionError> {
        if self.settings.now().media.impairments {
            return Ok(());
        }
        Err(forbidden("impairments are for development: see media.impairments"))
    }
}
