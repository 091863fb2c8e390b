//! Deadlines of peers and rooms, the earliest first.

use std::collections::BTreeSet;
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
    queue: BTreeSet<(Instant, Timer)>,
    of_peer: SecondaryMap<PeerId, Instant>,
    of_room: SecondaryMap<RoomId, Instant>,
    of_pacer: SecondaryMap<PeerId, Instant>,
    of_mirror: SecondaryMap<TrackId, Instant>,
}

impl Timers {
    /// Sets, moves or (with `None`) clears a deadline.
    pub(crate) fn set(&mut self, timer: Timer, at: Option<Instant>) {
        let before = match (timer, at) {
            (Timer::Peer(id), Some(at)) => self.of_peer.insert(id, at),
            (Timer::Peer(id), None) => self.of_peer.remove(id),
            (Timer::Room(id), Some(at)) => self.of_room.insert(id, at),
            (Timer::Room(id), None) => self.of_room.remove(id),
            (Timer::Pacer(id), Some(at)) => self.of_pacer.insert(id, at),
            (Timer::Pacer(id), None) => self.of_pacer.remove(id),
            (Timer::Mirror(id), Some(at)) => self.of_mirror.insert(id, at),
            (Timer::Mirror(id), None) => self.of_mirror.remove(id),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.queue.remove(&(before, timer));
        }
        if let Some(at) = at {
            self.queue.insert((at, timer));
        }
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|&(at, _)| at)
    }

    /// Takes one deadline that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        let &(at, timer) = self.queue.first()?;
        if at > now {
            return None;
        }
        self.set(timer, None);
        Some(timer)
    }

    /// How many deadlines are set.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::SlotMap;
    use std::time::Duration;

    #[test]
    fn moved_and_cleared_deadlines_fire_once_or_never() {
        #[allow(clippy::disallowed_methods, reason = "any instant will do as an origin")]
        let start = Instant::now();
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
}
