//! Person to person: two participants who are alone in a room may exchange media among themselves,
//! if the room's settings say so and both can.
//!
//! The server introduces them and passes on what they have to say to each other, opaque to it. Once
//! both say that everything arrives, the engines forward nothing any more ([`RoomPolicy::direct`]);
//! connections, tracks and subscriptions stay as they are, so that the way back is one keyframe
//! long. It ends when a third one comes, when somebody goes, when either side says that it does not
//! work, and with the setting. Clients go on showing what came directly until the server's frames
//! are there: neither way has a gap.
//!
//! Each attempt has an epoch. What is said of another one crossed with its end, and is refused.

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::Serialize;
use sfu_core::id::ParticipantId;
use sfu_core::preference::RoomPolicy;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::message::{Json, ServerEvent};
use super::participant::{Door, Participant};
use super::registry::Registry;
use super::room::Room;
use super::{ErrorCode, SessionError, Sessions};
use crate::limits;

/// How long two must have been alone before they are introduced: who follows a link comes in
/// company, and the first picture by way of the server is not to wait for two more encoders.
const SETTLED_AFTER: Duration = Duration::from_secs(1);
/// Longest time from the introduction to two working paths.
const ATTEMPT_MAX: Duration = Duration::from_secs(15);
/// So long after the first failure it is tried again; twice as long after the second.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// Networks that fail so often do not let them meet.
const FAILURES_MAX: u32 = 3;

/// Where a room stands with it.
#[derive(Debug, Default)]
pub(super) struct Direct {
    /// Who would do it, while the room may.
    pair: Option<[ParticipantId; 2]>,
    stage: Stage,
    epoch: u64,
    /// Attempts of this pair that came to nothing.
    failures: u32,
    /// When the next one may begin.
    not_before: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Everything goes by way of the server.
    #[default]
    Off,
    /// Introduced; who of the pair said that everything arrives.
    Trying { since: Instant, connected: [bool; 2] },
    /// Both said so, and the server forwards nothing.
    On,
}

/// Why media goes by way of the server again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DirectEnd {
    /// There are others than these two, or one of them may no longer.
    Participants,
    /// The room's settings changed.
    Settings,
    /// A participant said that it does not work, or said nothing for too long.
    Failed,
}

/// Rooms whose engines have yet to hear of their policy.
#[derive(Default)]
pub(super) struct PolicyNews {
    /// No more than there are rooms.
    rooms: std::collections::BTreeSet<Arc<str>>,
    news: Arc<Notify>,
}

impl Participant {
    fn may_go_direct(&self) -> bool {
        // What the engine enforces by not forwarding it would not be enforced among themselves.
        self.goes_direct
            && self.door == Door::WebSocket
            && self.is_visible()
            && self.grant.permissions.subscribe
    }
}

impl Room {
    /// What its engines are to do.
    pub(super) fn policy(&self) -> RoomPolicy {
        RoomPolicy { direct: self.is_direct(), ..self.settings.policy() }
    }

    /// Whether media goes past the server.
    pub(super) fn is_direct(&self) -> bool {
        self.direct.stage == Stage::On
    }

    /// Those two who could do without the server now. Somebody who is about to enter counts, and a
    /// viewer.
    fn direct_pair(&self) -> Option<[ParticipantId; 2]> {
        let mut there = self.participants.values();
        let (Some(a), Some(b), None) = (there.next(), there.next(), there.next()) else {
            return None;
        };
        let may = self.settings.allows_direct() && a.may_go_direct() && b.may_go_direct();
        may.then_some([a.id, b.id])
    }

    /// Brings it in line with who is there and what was said. Returns whether its policy changed.
    fn review_direct(&mut self, now: Instant) -> bool {
        let before = self.is_direct();
        let pair = self.direct_pair();
        if pair != self.direct.pair {
            self.end_direct(if self.settings.allows_direct() {
                DirectEnd::Participants
            } else {
                DirectEnd::Settings
            });
            self.direct.pair = pair;
            self.direct.failures = 0;
            self.direct.not_before = pair.map(|_| now + SETTLED_AFTER);
        }
        match self.direct.stage {
            Stage::Off if self.direct.not_before.is_some_and(|at| at <= now) => {
                self.introduce(now);
            }
            Stage::Trying { connected: [true, true], .. } => {
                self.direct.stage = Stage::On;
                let epoch = self.direct.epoch;
                self.tell_pair(|_| ServerEvent::DirectOn { epoch });
            }
            Stage::Trying { since, .. } if since + ATTEMPT_MAX <= now => self.fail_direct(now),
            _ => {}
        }
        before != self.is_direct()
    }

    fn introduce(&mut self, now: Instant) {
        let Some([a, b]) = self.direct.pair else { return };
        self.direct.not_before = None;
        self.direct.epoch += 1;
        self.direct.stage = Stage::Trying { since: now, connected: [false; 2] };
        let epoch = self.direct.epoch;
        self.tell_pair(|id| {
            let other = if id == a { b } else { a };
            ServerEvent::Direct { epoch, participant: other.into(), polite: id == b }
        });
    }

    /// It came to nothing, or is broken.
    fn fail_direct(&mut self, now: Instant) {
        self.end_direct(DirectEnd::Failed);
        self.direct.failures += 1;
        let again = self.direct.failures < FAILURES_MAX;
        self.direct.not_before = again.then(|| now + RETRY_AFTER * self.direct.failures);
    }

    fn end_direct(&mut self, reason: DirectEnd) {
        if std::mem::take(&mut self.direct.stage) != Stage::Off {
            let epoch = self.direct.epoch;
            self.tell_pair(|_| ServerEvent::DirectEnd { epoch, reason });
        }
    }

    fn tell_pair(&self, event: impl Fn(ParticipantId) -> ServerEvent) {
        for id in self.direct.pair.iter().flatten() {
            if let Some(participant) = self.participants.get(id) {
                participant.outbox.push(&Json::of(&event(*id)));
            }
        }
    }

    /// The place of `id` in the pair that is at it in this epoch.
    fn direct_place(&self, id: ParticipantId, epoch: u64) -> Result<usize, SessionError> {
        let current = self.direct.stage != Stage::Off && self.direct.epoch == epoch;
        let pair = self.direct.pair.filter(|_| current);
        pair.and_then(|pair| pair.iter().position(|each| *each == id)).ok_or_else(|| {
            SessionError::new(ErrorCode::NoDirect, "media does not go directly in this epoch")
        })
    }
}

impl Registry {
    /// Something changed that says whether a room's media may go directly.
    pub(super) fn review_direct(&mut self, room: &str) {
        let Some(room) = self.room_by_name.get_mut(room) else { return };
        if room.review_direct(Instant::now()) {
            self.policy_news.rooms.insert(Arc::clone(&room.name));
            self.policy_news.news.notify_one();
        }
    }

    /// The same for every room: time has passed.
    pub(super) fn review_all_direct(&mut self, now: Instant) {
        for room in self.room_by_name.values_mut() {
            if room.review_direct(now) {
                self.policy_news.rooms.insert(Arc::clone(&room.name));
                self.policy_news.news.notify_one();
            }
        }
    }
}

impl Sessions {
    /// Passes on what one of the pair has to say to the other.
    pub(crate) fn direct_signal(
        &self,
        room: &str,
        id: ParticipantId,
        epoch: u64,
        payload: String,
    ) -> Result<(), SessionError> {
        if payload.len() > limits::DIRECT_SIGNAL_BYTES_MAX {
            return Err(SessionError::new(ErrorCode::Limit, "the payload is over 32 KiB"));
        }
        let registry = self.registry.lock();
        let room = registry.room_by_name.get(room).ok_or_else(SessionError::gone)?;
        let place = room.direct_place(id, epoch)?;
        let other = room.direct.pair.map(|pair| pair[1 - place]);
        if let Some(other) = other.and_then(|other| room.participants.get(&other)) {
            other.outbox.push(&Json::of(&ServerEvent::DirectSignal { epoch, payload }));
        }
        Ok(())
    }

    /// One of the pair says that everything arrives, or that it does not work.
    pub(crate) fn direct_state(
        &self,
        room: &str,
        id: ParticipantId,
        epoch: u64,
        works: bool,
    ) -> Result<(), SessionError> {
        let mut registry = self.registry.lock();
        let this = registry.room_by_name.get_mut(room).ok_or_else(SessionError::gone)?;
        let place = this.direct_place(id, epoch)?;
        let was_direct = this.is_direct();
        match &mut this.direct.stage {
            Stage::Trying { connected, .. } if works => connected[place] = true,
            _ if works => {}
            _ => this.fail_direct(Instant::now()),
        }
        if was_direct && !this.is_direct() {
            let name = Arc::clone(&this.name);
            registry.policy_news.rooms.insert(name);
            registry.policy_news.news.notify_one();
        }
        registry.review_direct(room);
        Ok(())
    }

    /// Tells engines of policies that have changed, as long as there is a session layer.
    pub(super) fn follow_policies(self: &Arc<Self>) {
        let sessions: Weak<Self> = Arc::downgrade(self);
        let news = Arc::clone(&self.registry.lock().policy_news.news);
        self.runtime.spawn(async move {
            loop {
                news.notified().await;
                let Some(sessions) = sessions.upgrade() else { return };
                let rooms = std::mem::take(&mut sessions.registry.lock().policy_news.rooms);
                for room in rooms {
                    // Each by itself: a worker that is busy keeps nobody else waiting.
                    let sessions = Arc::clone(&sessions);
                    sessions
                        .runtime
                        .clone()
                        .spawn(async move { sessions.set_policy_of(&room).await });
                }
            }
        });
    }

    /// Brings the engines in line with a room's policy, whatever it is by now.
    async fn set_policy_of(self: &Arc<Self>, name: &str) {
        let Some(held) = self.hold_room(name) else { return };
        let place = &held.place;
        let _turn = place.turn().lock().await;
        let Some((policy, parts)) = place
            .find_room(&mut self.registry.lock())
            .map(|room| (room.policy(), room.bound_parts()))
        else {
            return;
        };
        for (worker, room) in parts {
            let command = sfu_core::command::Command::SetRoomPolicy { room, policy };
            if let Err(e) = self.media().call_patiently(worker, command).await {
                tracing::warn!("a room's policy could not be set: {e}");
            }
        }
    }
}
