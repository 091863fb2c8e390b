//! Links between the rooms of several engines, and what comes and goes by them ([`crate::relay`]).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use super::Engine;
use crate::command::{CommandError, Reply};
use crate::drops::DropReason;
use crate::event::Event;
use crate::id::{RoomId, TrackId};
use crate::limits::LINKS_PER_ROOM_MAX;
use crate::relay::{Announcement, Link, Message, Note};

impl Engine {
    /// The next message for another engine, by its worker number: to be fetched after each drain,
    /// until `None`.
    pub fn poll_relay(&mut self) -> Option<(u8, Message)> {
        self.poll_relay_if(|_| true)
    }

    /// The same for those engines that a message can be brought to now.
    pub fn poll_relay_if(&mut self, can_take: impl FnMut(u8) -> bool) -> Option<(u8, Message)> {
        self.relay.poll(can_take)
    }

    /// Takes a message of the engine `from`, and leaves it empty, for [`Engine::recycle`] of that
    /// engine. The next drain sends what came of it.
    pub fn handle_relay(&mut self, now: Instant, from: u8, message: &mut Message) {
        for note in message.notes.drain(..) {
            self.contained(|engine| engine.take_note(now, from, note));
        }
        for packet in message.packets.iter() {
            let whole = self.contained(|engine| engine.take_relayed(now, from, &packet));
            if !whole {
                self.give_up_mirror(now, packet.track);
            }
        }
        message.packets.clear();
    }

    /// Takes back the buffers of a message that has been read.
    pub fn recycle(&mut self, message: Message) {
        self.relay.recycle(message);
    }

    /// Counts what could not be used. False if the work panicked: a bug, and counted too.
    fn contained(&mut self, work: impl FnOnce(&mut Self) -> Result<(), DropReason>) -> bool {
        match catch_unwind(AssertUnwindSafe(|| work(self))) {
            Ok(Ok(())) => true,
            Ok(Err(reason)) => {
                self.count(reason);
                true
            }
            Err(_) => {
                self.stats.panics += 1;
                false
            }
        }
    }

    fn take_note(&mut self, now: Instant, from: u8, note: Note) -> Result<(), DropReason> {
        // By track: whether the sender may speak of it is looked at where it is used.
        match note {
            Note::Demand { track, mirror, wish } => {
                return self.take_wish(now, from, track, mirror, wish);
            }
            Note::Keyframe { track, encoding } => {
                return self.take_keyframe_request(now, from, track, encoding);
            }
            Note::Report { track, encoding, ntp, rtp_time, clock } => {
                return self.take_report(from, track, encoding, (ntp, rtp_time), clock);
            }
            _ => {}
        }
        let room = note.room().ok_or(DropReason::RelayUnknown)?;
        // A room that is not linked yet, or no more, or never was with this engine.
        let linked = self.rooms.get(room).is_some_and(|room| room.link(from).is_some());
        if !linked {
            return Err(DropReason::RelayUnknown);
        }
        match note {
            Note::Hello { answer, .. } => self.take_hello(room, from, answer),
            Note::Goodbye { .. } => self.forget_all_of(now, room, from),
            Note::Present { participant, since, .. } => {
                return self.take_presence(now, room, from, participant, since);
            }
            Note::Absent { participant, .. } => self.take_absence(now, room, from, participant),
            Note::Announce { track, .. } => return self.mirror(now, room, from, &track),
            Note::Unannounce { track, .. } => {
                let mirror = self.mirror_of(room, from, track)?;
                self.end_mirror(now, mirror);
            }
            Note::Muted { track, muted, .. } => {
                let mirror = self.mirror_of(room, from, track)?;
                if self.tracks[mirror].muted != muted {
                    self.set_muted(now, mirror, muted);
                    self.touch_mirror(mirror);
                }
            }
            Note::Levels { levels, .. } => self.take_levels(now, room, from, &levels),
            Note::Seats { seats, .. } => self.take_seats(now, room, from, seats),
            Note::Data { message, .. } => self.deliver_data(now, room, &message),
            Note::Demand { .. } | Note::Keyframe { .. } | Note::Report { .. } => {}
        }
        Ok(())
    }

    pub(super) fn link_room(
        &mut self,
        now: Instant,
        id: RoomId,
        worker: u8,
        remote: RoomId,
    ) -> Result<Reply, CommandError> {
        if worker == self.config.worker {
            return Err(CommandError::OwnWorker);
        }
        let room = self.rooms.get(id).ok_or(CommandError::NoSuchRoom)?;
        if room.link(worker).is_some_and(|link| link.remote != remote) {
            self.unlink_room(now, id, worker)?;
        }
        let room = &mut self.rooms[id];
        if room.link(worker).is_none() {
            if room.links.len() >= LINKS_PER_ROOM_MAX {
                return Err(CommandError::Limit("links of a room"));
            }
            let at = room.links.partition_point(|link| link.worker < worker);
            room.links.insert(at, Link::new(worker, remote));
            self.links_moved(now, id);
        }
        self.relay.note(worker, Note::Hello { room: remote, answer: true });
        Ok(Reply::Done)
    }

    pub(super) fn unlink_room(
        &mut self,
        now: Instant,
        id: RoomId,
        worker: u8,
    ) -> Result<Reply, CommandError> {
        let room = self.rooms.get(id).ok_or(CommandError::NoSuchRoom)?;
        let Some(remote) = room.link(worker).map(|link| link.remote) else {
            return Ok(Reply::Done);
        };
        self.forget_all_of(now, id, worker);
        self.rooms[id].links.retain(|link| link.worker != worker);
        self.relay.note(worker, Note::Goodbye { room: remote });
        self.links_moved(now, id);
        Ok(Reply::Done)
    }

    /// Cuts the links with engines for which more waited than is kept.
    pub(super) fn cut_lost_links(&mut self, now: Instant) {
        while let Some(worker) = self.relay.poll_lost() {
            let linked = self.rooms.iter().filter(|(_, room)| room.link(worker).is_some());
            let rooms: Vec<RoomId> = linked.map(|(id, _)| id).collect();
            for room in rooms {
                let done = self.unlink_room(now, room, worker);
                debug_assert!(done.is_ok(), "the room is there");
                self.tell(Event::LinkLost { room, worker });
            }
        }
    }

    /// Tells a note to every engine that a room is linked with; `note` gets the room's id there.
    pub(super) fn tell_links(&mut self, room: RoomId, note: impl Fn(RoomId) -> Note) {
        let Self { rooms, relay, .. } = self;
        for link in rooms.get(room).iter().flat_map(|room| &room.links) {
            relay.note(link.worker, note(link.remote));
        }
    }

    /// Tells the engines that a room is linked with of a track of this one.
    pub(super) fn announce(&mut self, id: TrackId) {
        let track = &self.tracks[id];
        let room = track.room;
        if self.rooms[room].links.is_empty() {
            return;
        }
        let announcement = Box::new(Announcement::of(id, track));
        self.tell_links(room, |room| Note::Announce { room, track: announcement.clone() });
    }

    /// The other side has linked its room too: it gets to know all there is here.
    fn take_hello(&mut self, room: RoomId, from: u8, answer: bool) {
        let this = &self.rooms[room];
        let Some(remote) = this.link(from).map(|link| link.remote) else { return };
        if answer {
            self.relay.note(from, Note::Hello { room: remote, answer: false });
        }
        self.greet(room, from, remote);
        let this = &self.rooms[room];
        let tracks = this.tracks.iter().map(|&id| (id, &self.tracks[id]));
        for (id, track) in tracks.filter(|(_, track)| track.peer().is_some()) {
            let track = Box::new(Announcement::of(id, track));
            self.relay.note(from, Note::Announce { room: remote, track });
        }
    }

    /// Forgets all that came from an engine into a room, and what it wanted there. It may come again.
    fn forget_all_of(&mut self, now: Instant, room: RoomId, worker: u8) {
        let Some(link) = self.rooms[room].link(worker) else { return };
        let mirrors: Vec<TrackId> = link.mirrors.values().copied().collect();
        for mirror in mirrors {
            self.end_mirror(now, mirror);
        }
        for at in 0..self.rooms[room].tracks.len() {
            let id = self.rooms[room].tracks[at];
            let wishes = &mut self.tracks[id].wishes;
            if wishes.iter().any(|wished| wished.worker == worker) {
                wishes.retain(|wished| wished.worker != worker);
                self.update_demand(now, id);
            }
        }
        self.forget_people(now, room, worker);
    }
}
