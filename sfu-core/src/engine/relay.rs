//! Links between the rooms of several engines, and what crosses them ([`crate::relay`]).

use std::time::Instant;

use super::Engine;
use crate::command::{CommandError, Reply};
use crate::id::RoomId;
use crate::relay::Message;

impl Engine {
    /// The next message for another engine, by its worker number: to be fetched after each drain,
    /// until `None`.
    pub fn poll_relay(&mut self) -> Option<(u8, Message)> {
        None
    }

    /// Takes a message of the engine `from`, and leaves it empty, for [`Engine::recycle`] of that
    /// engine. The next drain sends what came of it.
    pub fn handle_relay(&mut self, _now: Instant, _from: u8, message: &mut Message) {
        message.notes.clear();
        message.packets.clear();
    }

    /// Takes back the buffers of a message that has been read.
    pub fn recycle(&mut self, message: Message) {
        drop(message);
    }

    pub(super) fn link_room(
        &mut self,
        _now: Instant,
        room: RoomId,
        worker: u8,
        _remote: RoomId,
    ) -> Result<Reply, CommandError> {
        if worker == self.config.worker {
            return Err(CommandError::OwnWorker);
        }
        self.rooms.get(room).map(|_| Reply::Done).ok_or(CommandError::NoSuchRoom)
    }

    pub(super) fn unlink_room(
        &mut self,
        _now: Instant,
        room: RoomId,
        _worker: u8,
    ) -> Result<Reply, CommandError> {
        self.rooms.get(room).map(|_| Reply::Done).ok_or(CommandError::NoSuchRoom)
    }
}
