//! Deadlines of peers and rooms, the earliest first.
//!
//! A heap that knows where each deadline is: setting, moving and clearing one costs a few steps and
//! no allocation, and those that are far away cost nothing at all.

use std::time::Instant;

use slotmap::SecondaryMap;

use crate::id::{PeerId, RoomId, TrackId};

/// What a deadline belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    Peer(PeerId),
    Room(RoomId),
    /// A peer's pacer has something to release.
    Pacer(PeerId),
    /// A mirrored track is to be looked after.
    Mirror(TrackId),
}

/// One deadline each for any number of peers, rooms and mirrors.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// None is earlier than its parent, which is at `(place - 1) / CHILDREN`.
    heap: Vec<(Instant, Timer)>,
    /// Where in the heap the deadlines are, [`NOWHERE`] for none.
    places: Places,
}

#[derive(Debug, Default)]
struct Places {
    of_peer: SecondaryMap<PeerId, u32>,
    of_room: SecondaryMap<RoomId, u32>,
    of_pacer: SecondaryMap<PeerId, u32>,
    of_mirror: SecondaryMap<TrackId, u32>,
}

/// Four children share a cache line or two, and the heap is half as deep as with two.
const CHILDREN: usize = 4;

impl Timers {
    /// Sets, moves or (with `None`) clears a deadline.
    pub(crate) fn set(&mut self, timer: Timer, at: Option<Instant>) {
        match (self.places.get(timer), at) {
            (None, None) => {}
            (None, Some(at)) => {
                self.heap.push((at, timer));
                self.rise(self.heap.len() - 1);
            }
            (Some(place), None) => self.remove(place),
            (Some(place), Some(at)) => {
                if self.heap[place].0 != at {
                    self.heap[place].0 = at;
                    self.settle(place);
                }
            }
        }
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.first().map(|&(at, _)| at)
    }

    /// Takes one deadline that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        let &(_, timer) = self.heap.first().filter(|&&(at, _)| at <= now)?;
        // By its place: an owner that is gone and has a successor would not be found any more.
        self.remove(0);
        Some(timer)
    }

    /// How many deadlines are set.
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    fn remove(&mut self, place: usize) {
        let (_, timer) = self.heap.swap_remove(place);
        self.places.set(timer, None);
        if place < self.heap.len() {
            self.settle(place);
        }
    }

    /// Moves an entry whose deadline has changed to where it belongs.
    fn settle(&mut self, place: usize) {
        if place > 0 && self.heap[place] < self.heap[(place - 1) / CHILDREN] {
            self.rise(place);
        } else {
            self.sink(place);
        }
    }

    fn rise(&mut self, mut place: usize) {
        let entry = self.heap[place];
        while place > 0 {
            let parent = (place - 1) / CHILDREN;
            if self.heap[parent] <= entry {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        self.put(place, entry);
    }

    fn sink(&mut self, mut place: usize) {
        let entry = self.heap[place];
        loop {
            let first = place * CHILDREN + 1;
            let children = first..(first + CHILDREN).min(self.heap.len());
            let Some(least) = children.min_by_key(|&child| self.heap[child]) else { break };
            if entry <= self.heap[least] {
                break;
            }
            self.put(place, self.heap[least]);
            place = least;
        }
        self.put(place, entry);
    }

    fn put(&mut self, place: usize, entry: (Instant, Timer)) {
        self.heap[place] = entry;
        self.places.set(entry.1, Some(place));
    }
}

/// Stands for no place; kept, so that a deadline that comes and goes moves no memory.
const NOWHERE: u32 = u32::MAX;

impl Places {
    fn get(&self, timer: Timer) -> Option<usize> {
        let place = match timer {
            Timer::Peer(id) => self.of_peer.get(id),
            Timer::Room(id) => self.of_room.get(id),
            Timer::Pacer(id) => self.of_pacer.get(id),
            Timer::Mirror(id) => self.of_mirror.get(id),
        };
        place.filter(|&&place| place != NOWHERE).map(|&place| place as usize)
    }

    fn set(&mut self, timer: Timer, place: Option<usize>) {
        let place = place.map_or(NOWHERE, |place| place as u32);
        match timer {
            Timer::Peer(id) => self.of_peer.insert(id, place),
            Timer::Room(id) => self.of_room.insert(id, place),
            Timer::Pacer(id) => self.of_pacer.insert(id, place),
            Timer::Mirror(id) => self.of_mirror.insert(id, place),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use proptest::prelude::*;
    use slotmap::SlotMap;

    use super::*;

    #[allow(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn moved_and_cleared_deadlines_fire_once_or_never() {
        let start = start();
        let at = |ms| start + Duration::from_millis(ms);
        let mut ids = SlotMap::<PeerId, ()>::with_key();
        let (a, b) = (Timer::Peer(ids.insert(())), Timer::Peer(ids.insert(())));
        let mut timers = Timers::default();
        timers.set(a, Some(at(10)));
        timers.set(b, Some(at(20)));
        timers.set(a, Some(at(30)));
        assert_eq!(timers.next(), Some(at(20)));
        assert_eq!(timers.pop_due(at(15)), None);
        assert_eq!(timers.pop_due(at(40)), Some(b));
        timers.set(a, None);
        assert_eq!(timers.pop_due(at(40)), None);
        assert_eq!(timers.len(), 0);
    }

    /// A peer's place may be taken by another one before its deadline has passed.
    #[test]
    fn a_deadline_of_an_owner_that_is_gone_fires_once() {
        let start = start();
        let at = |ms| start + Duration::from_millis(ms);
        let mut ids = SlotMap::<PeerId, ()>::with_key();
        let gone = ids.insert(());
        let mut timers = Timers::default();
        timers.set(Timer::Pacer(gone), Some(at(10)));
        ids.remove(gone);
        let successor = ids.insert(());
        timers.set(Timer::Pacer(successor), Some(at(20)));
        assert_eq!(timers.pop_due(at(30)), Some(Timer::Pacer(gone)));
        assert_eq!(timers.pop_due(at(30)), Some(Timer::Pacer(successor)));
        assert_eq!(timers.pop_due(at(30)), None);
    }

    proptest! {
        /// Against an ordered set.
        #[test]
        fn deadlines_come_in_order(
            steps in proptest::collection::vec((0usize..60, 0u64..500, any::<bool>()), 1..600),
        ) {
            let start = start();
            let mut ids = SlotMap::<PeerId, ()>::with_key();
            let all: Vec<_> = (0..30)
                .flat_map(|_| { let id = ids.insert(()); [Timer::Peer(id), Timer::Pacer(id)] })
                .collect();
            let mut timers = Timers::default();
            let mut set = BTreeSet::new();
            for (which, ms, clear) in steps {
                let timer = all[which];
                set.retain(|&(_, other)| other != timer);
                let at = (!clear).then(|| start + Duration::from_millis(ms));
                timers.set(timer, at);
                set.extend(at.map(|at| (at, timer)));
                prop_assert_eq!(timers.next(), set.first().map(|&(at, _)| at));
                prop_assert_eq!(timers.len(), set.len());
                if ms < 50 {
                    let now = start + Duration::from_millis(2 * ms);
                    let due = set.first().copied().filter(|&(at, _)| at <= now);
                    prop_assert_eq!(timers.pop_due(now), due.map(|(_, timer)| timer));
                    set.retain(|&entry| Some(entry) != due);
                }
            }
        }
    }
}
