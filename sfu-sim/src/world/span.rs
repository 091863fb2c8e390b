//! Rooms that span several engines: what is between those, and what things are called in each.

use std::collections::BTreeMap;
use std::time::Duration;

use sfu_core::command::{Command, Reply};
use sfu_core::event::Event;
use sfu_core::id::{RoomId, TrackId};
use sfu_core::relay::Message;
use sfu_core::stats::EngineStats;

use super::course::Happening;
use super::{ClientId, World};

/// How long a message is under way between engines, unless said otherwise: two threads of one
/// process.
const DELAY: Duration = Duration::from_micros(100);

/// What is between engines.
#[derive(Debug)]
pub(super) struct Span {
    delay: Duration,
    /// What a room is called in each engine.
    rooms: Vec<Vec<RoomId>>,
    /// What a track, by engine and id there, is called in another engine.
    mirrors: BTreeMap<(usize, (usize, TrackId)), TrackId>,
    /// Messages under way, by slot, from and to which engine.
    under_way: Vec<Option<(usize, usize, Message)>>,
    free: Vec<u32>,
    /// No message can be brought to this engine.
    blocked: Option<usize>,
    relayed: Relayed,
}

/// What has crossed between engines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relayed {
    /// Messages.
    pub messages: u64,
    /// Packets in them.
    pub packets: u64,
    /// Most packets in one.
    pub packets_max: usize,
    /// What was not a packet.
    pub notes: u64,
}

impl Default for Span {
    fn default() -> Self {
        Self {
            delay: DELAY,
            rooms: Vec::new(),
            mirrors: BTreeMap::new(),
            under_way: Vec::new(),
            free: Vec::new(),
            blocked: None,
            relayed: Relayed::default(),
        }
    }
}

impl Span {
    pub(super) fn learn(&mut self, engine: usize, (worker, track): (u8, TrackId), local: TrackId) {
        let before = self.mirrors.insert((engine, (worker.into(), track)), local);
        assert_eq!(before, None, "a track is mirrored once");
    }

    pub(super) fn forget(&mut self, engine: usize, (worker, track): (u8, TrackId)) {
        let known = self.mirrors.remove(&(engine, (worker.into(), track)));
        assert!(known.is_some(), "what ends has been told of");
    }

    /// What a track is called in an engine, if it is known there.
    pub(super) fn name_in(&self, engine: usize, track: (usize, TrackId)) -> Option<TrackId> {
        if engine == track.0 { Some(track.1) } else { self.mirrors.get(&(engine, track)).copied() }
    }
}

impl World {
    /// Sets how long messages are under way between engines. Not to be changed while there are any.
    pub fn set_relay_delay(&mut self, delay: Duration) {
        self.span.delay = delay;
    }

    /// Lets no message be brought to one engine from now on, or to all again.
    pub fn block_relay(&mut self, to: Option<usize>) {
        self.span.blocked = to;
    }

    /// What has crossed between engines so far.
    #[must_use]
    pub fn relayed(&self) -> Relayed {
        self.span.relayed
    }

    /// The engine a client is connected to.
    #[must_use]
    pub fn engine_of(&self, client: ClientId) -> usize {
        self.nodes[client.0].engine
    }

    /// The counters of one engine.
    #[must_use]
    pub fn stats_of(&self, engine: usize) -> EngineStats {
        self.engines[engine].stats()
    }

    /// What one engine has told, and when.
    pub fn events_of(&self, engine: usize) -> impl DoubleEndedIterator<Item = &(Duration, Event)> {
        let told = self.events.iter().zip(&self.teller);
        told.filter(move |&(_, &teller)| teller == engine).map(|(event, _)| event)
    }

    /// What a track of one engine is called in another.
    #[must_use]
    pub fn mirror_in(&self, engine: usize, track: (usize, TrackId)) -> Option<TrackId> {
        self.span.name_in(engine, track)
    }

    /// What a room, by its id in the first engine, is called in another.
    #[must_use]
    pub fn room_in(&self, engine: usize, room: RoomId) -> RoomId {
        let known = self.span.rooms.iter().find(|rooms| rooms[0] == room);
        known.map_or(room, |rooms| rooms[engine])
    }

    /// Opens a room in every engine and does not link it. Gives its ids.
    pub fn create_unlinked(&mut self) -> Vec<RoomId> {
        let rooms: Vec<_> = (0..self.engines.len())
            .map(|engine| match self.command_at(engine, Command::CreateRoom) {
                Ok(Reply::Room(room)) => room,
                other => panic!("no room: {other:?}"),
            })
            .collect();
        self.span.rooms.push(rooms.clone());
        rooms
    }

    /// Tells engine `at` that its room goes on in engine `to`.
    pub fn link(&mut self, rooms: &[RoomId], at: usize, to: usize) {
        let worker = u8::try_from(to).expect("a few engines");
        let link = Command::LinkRoom { room: rooms[at], worker, remote: rooms[to] };
        self.command_at(at, link).expect("rooms can be linked");
    }

    /// Tells engine `at` that its room goes on in engine `to` no more.
    pub fn unlink(&mut self, rooms: &[RoomId], at: usize, to: usize) {
        let worker = u8::try_from(to).expect("a few engines");
        let unlink = Command::UnlinkRoom { room: rooms[at], worker };
        self.command_at(at, unlink).expect("the room is there");
    }

    /// Links a room in every engine with itself in every other.
    pub fn link_all(&mut self, rooms: &[RoomId]) {
        for at in 0..rooms.len() {
            for to in (0..rooms.len()).filter(|&to| to != at) {
                self.link(rooms, at, to);
            }
        }
    }

    /// A message that no engine made arrives at one now, as if from the engine `from`.
    pub fn inject_relay(&mut self, engine: usize, from: u8, message: &mut Message) {
        self.engines[engine].handle_relay(self.origin + self.now, from, message);
        self.settle();
    }

    /// Puts what an engine has for others on its way.
    pub(super) fn carry_across(&mut self, from: usize) {
        let blocked = self.span.blocked;
        let can_take = |to: u8| blocked != Some(to.into());
        while let Some((to, message)) = self.engines[from].poll_relay_if(can_take) {
            assert!(!message.is_empty(), "nothing is not worth a message");
            let relayed = &mut self.span.relayed;
            relayed.messages += 1;
            relayed.packets += message.packets.len() as u64;
            relayed.packets_max = relayed.packets_max.max(message.packets.len());
            relayed.notes += message.notes.len() as u64;
            let slot = self.span.free.pop().unwrap_or_else(|| {
                self.span.under_way.push(None);
                u32::try_from(self.span.under_way.len() - 1).expect("few are under way")
            });
            self.span.under_way[slot as usize] = Some((from, to.into(), message));
            self.queue.push(self.now + self.span.delay, Happening::Relay(slot));
        }
    }

    /// A message arrives at another engine.
    pub(super) fn relay(&mut self, slot: u32) {
        let arrived = self.span.under_way[slot as usize].take();
        self.span.free.push(slot);
        let (from, to, mut message) = arrived.expect("it was put on its way");
        self.trace.pair((from as u64) << 8 | to as u64, 4);
        self.trace.pair(message.packets.bytes() as u64, message.notes.len() as u64);
        let worker = u8::try_from(from).expect("a few engines");
        self.engines[to].handle_relay(self.origin + self.now, worker, &mut message);
        assert!(message.is_empty(), "left empty");
        self.engines[from].recycle(message);
    }
}
