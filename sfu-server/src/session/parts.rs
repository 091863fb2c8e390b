//! The parts of a room: how it comes to a worker, how it goes on at several, and how it leaves one
//! again. Rooms change their parts one step at a time (`Room::turn`), so that the engines are told
//! of links in the order in which they are made and cut.

use std::sync::Arc;
use std::time::Duration;

use sfu_core::command::{Command, CommandError, Reply};
use sfu_core::id::RoomId;
use sfu_core::preference::RoomPolicy;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;

use super::join::carry_out;
use super::placement::Newcomer;
use super::registry::{Cleanup, Registry};
use super::room::{Part, Room};
use super::{SessionError, Sessions};
use crate::media::{MediaError, WorkerId};

/// How long after a link was lost it is made again: the worker that could not follow is to recover.
const RELINK_AFTER: Duration = Duration::from_secs(1);

/// A part of a room that somebody was entered into, or needs, before the engine may know of it.
/// Tells parts that follow each other on one worker apart, and rooms of one name.
#[derive(Clone)]
pub(super) struct Place {
    room: Arc<str>,
    turn: Arc<Mutex<()>>,
    pub(super) worker: WorkerId,
    id: Arc<OnceCell<RoomId>>,
}

impl Place {
    pub(super) fn new(room: &Arc<str>, turn: &Arc<Mutex<()>>, part: &Part) -> Self {
        let (room, turn) = (Arc::clone(room), Arc::clone(turn));
        Self { room, turn, worker: part.worker, id: Arc::clone(&part.id) }
    }

    /// The oldest part of a room.
    pub(super) fn first(room: &Room) -> Self {
        Self::new(&room.name, &room.turn, &room.parts[0])
    }

    /// The part on `worker`, which is added if there is none.
    pub(super) fn on(room: &mut Room, worker: WorkerId) -> Self {
        if room.part(worker).is_none() {
            room.parts.push(Part::new(worker));
        }
        let part = room.part(worker).expect("added above if it was missing");
        Self::new(&room.name, &room.turn, part)
    }

    /// To be held while engines are told of the room's settings or parts.
    pub(super) fn turn(&self) -> &Mutex<()> {
        &self.turn
    }

    pub(super) fn room_name(&self) -> &Arc<str> {
        &self.room
    }

    /// The room, if it is still there and has this part.
    pub(super) fn find<'a>(&self, registry: &'a mut Registry) -> Option<&'a mut Room> {
        let room = self.find_room(registry)?;
        let part = room.part(self.worker)?;
        Arc::ptr_eq(&part.id, &self.id).then_some(room)
    }

    /// The room, if it is still there.
    pub(super) fn find_room<'a>(&self, registry: &'a mut Registry) -> Option<&'a mut Room> {
        let room = registry.room_by_name.get_mut(&self.room);
        room.filter(|room| Arc::ptr_eq(&room.turn, &self.turn))
    }
}

impl Sessions {
    /// The worker of a new room without participants.
    pub(super) fn worker_for_a_room(&self, room: &Room) -> WorkerId {
        let measured = self.media.loads();
        self.placement.lock().place(Instant::now(), &measured, &Newcomer::default(), room.placed)
    }

    /// The worker of one more participant of a room.
    pub(super) fn worker_for_one_more(&self, room: &mut Room) -> WorkerId {
        let newcomer = room.newcomer();
        let measured = self.media.loads();
        let now = Instant::now();
        let worker = self.placement.lock().place(now, &measured, &newcomer, room.placed);
        room.placed += 1;
        worker
    }

    /// What the engine calls a part of a room; the first who asks makes it, the others wait.
    pub(super) async fn engine_room(
        self: &Arc<Self>,
        place: &Place,
    ) -> Result<RoomId, SessionError> {
        if let Some(id) = place.id.get() {
            return Ok(*id);
        }
        // In a task of its own: whoever asks may hang up, and half a part is none.
        let (sessions, place) = (Arc::clone(self), place.clone());
        let made = self.runtime.spawn(async move {
            let open = || sessions.open_part(&place);
            place.id.get_or_try_init(open).await.copied()
        });
        Ok(made.await.unwrap_or(Err(MediaError::Panicked))?)
    }

    /// Makes the engine's room of a part, and links it with the other parts.
    async fn open_part(&self, place: &Place) -> Result<RoomId, MediaError> {
        let _turn = place.turn.lock().await;
        let Reply::Room(room) = self.media.call(place.worker, Command::CreateRoom).await? else {
            return Err(MediaError::Panicked);
        };
        let opened = self.join_parts(place, room).await;
        if opened.is_err() {
            let others = {
                let mut registry = self.registry.lock();
                registry.unbind_part(place);
                place.find_room(&mut registry).map(|room| room.bound_parts())
            };
            self.close_part(place.worker, room, others.unwrap_or_default()).await;
        }
        opened.map(|()| room)
    }

    async fn join_parts(&self, place: &Place, room: RoomId) -> Result<(), MediaError> {
        // They are changed in turn as well, so these are they until this part is known.
        let policy = place.find(&mut self.registry.lock()).map(|room| room.policy());
        if let Some(policy) = policy.filter(|s| *s != RoomPolicy::default()) {
            self.media.call(place.worker, Command::SetRoomPolicy { room, policy }).await?;
        }
        // Known before it is linked: its engine then tells of mirrors. Fails if the room was closed
        // while the engine was making it.
        let others = self.registry.lock().bind_part(place, room);
        let others = others.ok_or(MediaError::Refused(CommandError::NoSuchRoom))?;
        for other in others {
            self.link((place.worker, room), other).await?;
        }
        Ok(())
    }

    async fn link(
        &self,
        (a, room_a): (WorkerId, RoomId),
        (b, room_b): (WorkerId, RoomId),
    ) -> Result<(), MediaError> {
        let from_a = Command::LinkRoom { room: room_a, worker: b.0, remote: room_b };
        self.media.call(a, from_a).await?;
        let from_b = Command::LinkRoom { room: room_b, worker: a.0, remote: room_a };
        self.media.call(b, from_b).await?;
        Ok(())
    }

    /// Ends a part in its engine, and the links of other parts with it.
    async fn close_part(&self, worker: WorkerId, room: RoomId, others: Vec<(WorkerId, RoomId)>) {
        let mut cleanup = Cleanup(vec![(worker, Command::CloseRoom { room })]);
        let unlink = |(other, room)| (other, Command::UnlinkRoom { room, worker: worker.0 });
        cleanup.0.extend(others.into_iter().map(unlink));
        carry_out(&self.media, cleanup).await;
    }

    /// Closes parts that have been empty for long.
    pub(super) fn close_empty_parts(self: &Arc<Self>, now: Instant) {
        let over = self.registry.lock().empty_parts(now);
        for place in over {
            let sessions = Arc::clone(self);
            self.runtime.spawn(async move { sessions.leave_part(&place).await });
        }
    }

    /// Takes a room from a worker where nobody is, unless it is on no other.
    async fn leave_part(&self, place: &Place) {
        let _turn = place.turn.lock().await;
        let (room, others) = {
            let mut registry = self.registry.lock();
            let Some(room) = place.find(&mut registry) else { return };
            let is_used = room.participants.values().any(|p| p.worker == place.worker);
            if is_used || room.parts.len() < 2 {
                return;
            }
            let id = registry.unbind_part(place);
            let room = place.find(&mut registry).expect("found above");
            room.parts.retain(|part| part.worker != place.worker);
            let others = room.bound_parts();
            // One that is still being made finds itself gone.
            let Some(id) = id else { return };
            (id, others)
        };
        self.close_part(place.worker, room, others).await;
    }

    /// The engine of `worker` cut a room's link with `other`, which could not follow: both are
    /// linked again, later.
    pub(super) fn link_lost(self: &Arc<Self>, worker: WorkerId, room: RoomId, other: WorkerId) {
        let sessions = Arc::clone(self);
        self.runtime.spawn(async move {
            tokio::time::sleep(RELINK_AFTER).await;
            let turn = {
                let mut registry = sessions.registry.lock();
                registry.room_by_id(worker, room).map(|room| Arc::clone(&room.turn))
            };
            let Some(turn) = turn else { return };
            let _turn = turn.lock().await;
            let remote = {
                let mut registry = sessions.registry.lock();
                let room = registry.room_by_id(worker, room);
                room.and_then(|room| room.part(other)?.bound_id)
            };
            let Some(remote) = remote else { return };
            if let Err(e) = sessions.link((worker, room), (other, remote)).await {
                tracing::warn!("a room's parts cannot be linked again: {e}");
            }
        });
    }
}
