//! What the members of one room share across engines: who is there, how loud they are, who has a
//! seat, and messages.

use std::time::Instant;

use super::{Engine, Timer};
use crate::command::{DataMessage, Reliability};
use crate::drops::DropReason;
use crate::event::Event;
use crate::id::{ParticipantId, RoomId};
use crate::limits::{PEERS_PER_ROOM_MAX, SPEAKERS_INTERVAL};
use crate::relay::{Level, Note};
use crate::room::Seats;

/// Told.
impl Engine {
    /// A participant has come into a room of this engine.
    pub(super) fn participant_came(
        &mut self,
        now: Instant,
        id: RoomId,
        participant: ParticipantId,
    ) {
        let ntp = self.ntp(now);
        let room = &mut self.rooms[id];
        let since = room.stamp(ntp);
        let seated = room.last_n.add(now, participant, since);
        self.tell_links(id, |room| Note::Present { room, participant, since });
        if seated {
            self.seats_moved(now, id);
        }
    }

    /// A participant has left a room of this engine.
    pub(super) fn participant_left(
        &mut self,
        now: Instant,
        id: RoomId,
        participant: ParticipantId,
    ) {
        let room = &mut self.rooms[id];
        room.speakers.remove(participant);
        let seated = room.last_n.remove(now, participant);
        self.tell_links(id, |room| Note::Absent { room, participant });
        if seated {
            self.seats_moved(now, id);
        }
    }

    /// Tells a newly linked engine who is here, how loud they are, and who has a seat.
    pub(super) fn greet(&mut self, id: RoomId, worker: u8, remote: RoomId) {
        let Self { rooms, relay, config, .. } = self;
        let room = &rooms[id];
        for &(participant, _) in &room.peers {
            let since = room.last_n.came(participant).unwrap_or(0);
            relay.note(worker, Note::Present { room: remote, participant, since });
        }
        let levels: Vec<_> = room.speakers.told().collect();
        if !levels.is_empty() {
            relay.note(worker, Note::Levels { room: remote, levels });
        }
        if room.leader(config.worker).is_none() {
            relay.note(worker, Note::Seats { room: remote, seats: room.last_n.seats() });
        }
    }

    /// Tells linked engines how loud those here are, as far as that has changed.
    pub(super) fn tell_levels(&mut self, id: RoomId) {
        let room = &mut self.rooms[id];
        if room.links.is_empty() {
            return;
        }
        let levels = room.speakers.untold();
        if !levels.is_empty() {
            self.tell_links(id, |room| Note::Levels { room, levels: levels.clone() });
        }
    }

    /// Somebody gained or lost a seat.
    pub(super) fn seats_moved(&mut self, now: Instant, id: RoomId) {
        self.reconsider_room(now, id);
        let room = &mut self.rooms[id];
        if room.links.is_empty() || room.leader(self.config.worker).is_some() {
            return;
        }
        let seats = room.last_n.seats();
        if room.seats_told.as_ref() != Some(&seats) {
            room.seats_told = Some(seats.clone());
            self.tell_links(id, |room| Note::Seats { room, seats: seats.clone() });
        }
    }

    /// A room has one link more or less: another engine may hand out the seats now.
    pub(super) fn links_moved(&mut self, now: Instant, id: RoomId) {
        let room = &mut self.rooms[id];
        room.seats_told = None;
        if room.links.is_empty() {
            room.speakers.forget_told();
        }
        if room.leader(self.config.worker).is_none() {
            room.last_n.follow(now, None);
            self.seats_moved(now, id);
        }
    }

    /// Hands a data message to the engines where there is anybody to whom it may go.
    pub(super) fn relay_data(&mut self, id: RoomId, message: &DataMessage) {
        let Self { rooms, relay, stats, .. } = self;
        for link in rooms.get(id).iter().flat_map(|room| &room.links) {
            let concerns = message.to.is_empty()
                || message.to.iter().any(|participant| link.people.contains_key(participant));
            if !concerns {
                continue;
            }
            if message.reliability == Reliability::Lossy && relay.is_crowded(link.worker) {
                stats.drops.count(DropReason::RelayFull);
                continue;
            }
            relay.note(link.worker, Note::Data { room: link.remote, message: message.clone() });
        }
    }
}

/// Heard.
impl Engine {
    pub(super) fn take_presence(
        &mut self,
        now: Instant,
        id: RoomId,
        from: u8,
        participant: ParticipantId,
        since: u64,
    ) -> Result<(), DropReason> {
        let room = &mut self.rooms[id];
        let link = room.link_mut(from).ok_or(DropReason::RelayUnknown)?;
        if link.people.len() >= PEERS_PER_ROOM_MAX && !link.people.contains_key(&participant) {
            return Err(DropReason::RelayLimit);
        }
        link.people.entry(participant).or_default();
        if room.last_n.add(now, participant, since) {
            self.seats_moved(now, id);
        }
        Ok(())
    }

    pub(super) fn take_absence(
        &mut self,
        now: Instant,
        id: RoomId,
        from: u8,
        participant: ParticipantId,
    ) {
        let known =
            self.rooms[id].link_mut(from).is_some_and(|l| l.people.remove(&participant).is_some());
        if known {
            self.forget_person(now, id, participant);
        }
    }

    /// All participants of an engine are gone.
    pub(super) fn forget_people(&mut self, now: Instant, id: RoomId, worker: u8) {
        let Some(link) = self.rooms[id].link_mut(worker) else { return };
        for participant in std::mem::take(&mut link.people).into_keys() {
            self.forget_person(now, id, participant);
        }
        self.tell_speakers(id);
    }

    fn forget_person(&mut self, now: Instant, id: RoomId, participant: ParticipantId) {
        let room = &mut self.rooms[id];
        room.speakers.remove(participant);
        if room.last_n.remove(now, participant) {
            self.seats_moved(now, id);
        }
    }

    pub(super) fn take_levels(&mut self, now: Instant, id: RoomId, from: u8, levels: &[Level]) {
        let room = &mut self.rooms[id];
        let Some(link) = room.links.iter().find(|link| link.worker == from) else { return };
        let mut wake = false;
        for &level in levels.iter().filter(|level| link.people.contains_key(&level.participant)) {
            wake |= room.speakers.note_elsewhere(level);
        }
        if wake {
            self.timers.set(Timer::Room(id), Some(now + SPEAKERS_INTERVAL));
        }
        self.tell_speakers(id);
    }

    fn tell_speakers(&mut self, room: RoomId) {
        if let Some(speakers) = self.rooms[room].speakers.changed() {
            self.tell(Event::Speakers { room, speakers });
        }
    }

    pub(super) fn take_seats(&mut self, now: Instant, id: RoomId, from: u8, seats: Seats) {
        let room = &mut self.rooms[id];
        let leads = room.leader(self.config.worker) == Some(from);
        if leads && room.last_n.follow(now, Some(seats)) {
            self.reconsider_room(now, id);
        }
    }
}
