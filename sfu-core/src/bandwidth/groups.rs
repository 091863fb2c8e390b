//! Packets that left together, and how much further apart such groups arrive than they left
//! (draft-ietf-rmcat-gcc-02 §5.2).

use std::time::Duration;

/// Packets that left within this time of the first one are a group.
const LENGTH: Duration = Duration::from_millis(5);
/// Packets that arrive this close together although they did not leave so have waited for each
/// other, behind a scheduler for example; they are one group too …
const BURST_GAP: Duration = Duration::from_millis(5);
/// … up to this length.
const BURST_LENGTH_MAX: Duration = Duration::from_millis(100);
/// A receiver's clock that is off by more between two groups has jumped.
const JUMP: Duration = Duration::from_secs(3);
/// Groups in a row that arrive before their predecessor; more is another clock.
const BACKWARDS_MAX: u8 = 3;

/// A packet's times: since the sender's start and on the receiver's clock. Only differences within
/// either mean anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When it left.
    pub departure: Duration,
    /// When it arrived.
    pub arrival: Duration,
}

/// What lies between two groups, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// From the last departure of the one to that of the other.
    pub sent: f64,
    /// From the last arrival of the one to that of the other.
    pub arrived: f64,
    /// When the later one had arrived, on the receiver's clock.
    pub at: Duration,
}

/// Finds the groups.
#[derive(Debug, Default)]
pub struct Groups {
    complete: Option<Group>,
    current: Option<Group>,
    backwards: u8,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    first: Times,
    last: Times,
}

impl Groups {
    /// Takes a packet that arrived. A spread comes with the first packet of the group after the
    /// two it is about.
    pub fn on_packet(&mut self, times: Times) -> Option<Spread> {
        let Some(current) = &mut self.current else {
            self.current = Some(Group { first: times, last: times });
            return None;
        };
        if current.is_before(times) {
            return None;
        }
        if current.holds(times) {
            current.last.departure = current.last.departure.max(times.departure);
            current.last.arrival = current.last.arrival.max(times.arrival);
            return None;
        }
        let finished = std::mem::replace(current, Group { first: times, last: times });
        let spread = self.complete.replace(finished).map(|before| finished.since(&before))?;
        self.checked(spread)
    }

    /// Forgets everything, as after a silence or on a new path.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    fn checked(&mut self, spread: Spread) -> Option<Spread> {
        if (spread.arrived - spread.sent).abs() > JUMP.as_secs_f64() {
            self.reset();
            return None;
        }
        if spread.arrived < 0.0 {
            self.backwards += 1;
            if self.backwards >= BACKWARDS_MAX {
                self.reset();
            }
            return None;
        }
        self.backwards = 0;
        Some(spread)
    }
}

impl Group {
    /// Whether a packet left before this group, and was overtaken.
    fn is_before(&self, times: Times) -> bool {
        times.departure < self.first.departure
    }

    fn holds(&self, times: Times) -> bool {
        if times.departure - self.first.departure <= LENGTH {
            return true;
        }
        let sent = difference(times.departure, self.last.departure);
        let arrived = difference(times.arrival, self.last.arrival);
        arrived < sent
            && arrived <= BURST_GAP.as_secs_f64()
            && difference(times.arrival, self.first.arrival) < BURST_LENGTH_MAX.as_secs_f64()
    }

    fn since(&self, before: &Self) -> Spread {
        Spread {
            sent: difference(self.last.departure, before.last.departure),
            arrived: difference(self.last.arrival, before.last.arrival),
            at: self.last.arrival,
        }
    }
}

/// Seconds from `earlier` to `later`, which may be the other way round.
pub(super) fn difference(later: Duration, earlier: Duration) -> f64 {
    match later.checked_sub(earlier) {
        Some(ahead) => ahead.as_secs_f64(),
        None => -(earlier - later).as_secs_f64(),
    }
}

#[cfg(test)]
mod tests;
