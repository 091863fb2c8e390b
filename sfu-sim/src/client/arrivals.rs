//! Which packets of one SSRC have come, and which to ask for again.

use std::collections::VecDeque;
use std::time::Duration;

/// How long a gap may be nothing but reordering.
const REORDER_WAIT: Duration = Duration::from_millis(10);
/// Shortest time between two requests for one packet.
const INTERVAL_MIN: Duration = Duration::from_millis(20);
/// Beyond the round trip: a request that comes a moment early is wasted.
const INTERVAL_MARGIN: Duration = Duration::from_millis(5);
/// Requests for one packet.
const TRIES_MAX: u8 = 10;
/// Age at which a packet is given up.
const AGE_MAX: Duration = Duration::from_millis(1500);
/// Packets missing at a time; beyond it all are given up.
const MISSING_MAX: usize = 500;

/// The line of one SSRC as it arrives.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    first: Option<u64>,
    highest: Option<u64>,
    missing: VecDeque<Missing>,
    asks_once: bool,
    /// Packets received on the SSRC itself, for reports.
    received: u64,
    before: (u64, u64),
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    index: u64,
    since: Duration,
    next: Duration,
    tries: u8,
}

/// What a packet is to the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    New(u64),
    Late(u64),
    Duplicate(u64),
}

impl Arrivals {
    /// Whether to ask for each packet only once.
    pub(crate) fn set_asks_once(&mut self, asks_once: bool) {
        self.asks_once = asks_once;
    }

    /// Where a sequence number lies on the line, whose first number is in its second turn.
    pub(crate) fn index(&self, sequence: u16) -> u64 {
        match self.highest {
            None => (1 << 16) + u64::from(sequence),
            Some(highest) => {
                let distance = sequence.wrapping_sub(highest as u16).cast_signed();
                highest.saturating_add_signed(i64::from(distance))
            }
        }
    }

    /// Notes a packet. `direct`: it came on the SSRC itself.
    pub(crate) fn note(&mut self, now: Duration, sequence: u16, direct: bool) -> Arrival {
        let index = self.index(sequence);
        self.received += u64::from(direct);
        let (Some(first), Some(highest)) = (self.first, self.highest) else {
            self.first = Some(index);
            self.highest = Some(index);
            return Arrival::New(index);
        };
        if index > highest {
            let next = now + REORDER_WAIT;
            let gap = highest + 1..index;
            self.missing.extend(gap.map(|index| Missing { index, since: now, next, tries: 0 }));
            self.highest = Some(index);
            return Arrival::New(index);
        }
        if index < first {
            // Overtaken by what was taken for the first.
            let gap = index + 1..first;
            for index in gap.rev() {
                let next = now + REORDER_WAIT;
                self.missing.push_front(Missing { index, since: now, next, tries: 0 });
            }
            self.first = Some(index);
            return Arrival::New(index);
        }
        match self.missing.binary_search_by_key(&index, |missing| missing.index) {
            Ok(at) => {
                self.missing.remove(at);
                Arrival::Late(index)
            }
            Err(_) => Arrival::Duplicate(index),
        }
    }

    /// Appends the sequence numbers to ask for now and the indices given up.
    pub(crate) fn poll(
        &mut self,
        now: Duration,
        rtt: Duration,
        ask: &mut Vec<u16>,
        given_up: &mut Vec<u64>,
    ) {
        let interval = (rtt + INTERVAL_MARGIN).max(INTERVAL_MIN);
        let excess = self.missing.len() > MISSING_MAX;
        self.missing.retain_mut(|missing| {
            let tried_out = missing.tries >= TRIES_MAX && missing.next <= now;
            if excess || tried_out || now.saturating_sub(missing.since) >= AGE_MAX {
                given_up.push(missing.index);
                return false;
            }
            if missing.next <= now {
                missing.tries += 1;
                missing.next = now + if self.asks_once { AGE_MAX } else { interval };
                ask.push(missing.index as u16);
            }
            true
        });
    }

    /// Stops asking for what lies before an index. How many packets that were.
    pub(crate) fn forget_before(&mut self, index: u64) -> u64 {
        let known = self.missing.partition_point(|missing| missing.index < index);
        self.missing.drain(..known).count() as u64
    }

    pub(crate) fn wake(&self) -> Option<Duration> {
        self.missing.iter().map(|missing| missing.next.min(missing.since + AGE_MAX)).min()
    }

    /// Packets that have not come and have not been given up.
    pub(crate) fn outstanding(&self) -> u64 {
        self.missing.len() as u64
    }

    /// For a report block: highest index with its turns from 0, lost in all, and the share lost
    /// since the last call in 1/256 (RFC 3550 A.3).
    pub(crate) fn report(&mut self) -> Option<(u32, i64, u8)> {
        let (first, highest) = (self.first?, self.highest?);
        let expected = highest - first + 1;
        let (expected_before, received_before) = self.before;
        self.before = (expected, self.received);
        let expected_now = expected.saturating_sub(expected_before);
        let lost_now = expected_now.saturating_sub(self.received - received_before);
        let fraction = (lost_now << 8).checked_div(expected_now).unwrap_or(0);
        let lost = expected.cast_signed() - self.received.cast_signed();
        let extended = (highest - (1 << 16)) as u32;
        Some((extended, lost, u8::try_from(fraction).unwrap_or(u8::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_asked_for_once_per_round_trip_and_then_given_up() {
        let ms = Duration::from_millis;
        let mut line = Arrivals::default();
        assert_eq!(line.note(ms(0), 65_535, true), Arrival::New(131_071));
        assert_eq!(line.note(ms(0), 2, true), Arrival::New(131_074));
        let (mut asked, mut given_up) = (Vec::new(), Vec::new());
        let mut times = Vec::new();
        for t in 0..2000 {
            let before = asked.len();
            line.poll(ms(t), ms(95), &mut asked, &mut given_up);
            if asked.len() > before {
                times.push(t);
            }
        }
        assert_eq!(times, (0..10).map(|n| 10 + 100 * n).collect::<Vec<_>>());
        assert_eq!(&asked[..2], [0, 1]);
        assert_eq!(given_up, [131_072, 131_073]);
        assert_eq!(line.wake(), None);
    }

    #[test]
    fn late_packets_fill_gaps_and_others_are_duplicates() {
        let mut line = Arrivals::default();
        let verdicts: Vec<_> =
            [10, 12, 11, 11, 9, 12].iter().map(|&s| line.note(Duration::ZERO, s, true)).collect();
        let at = |s: u64| (1 << 16) + s;
        assert_eq!(
            verdicts,
            [
                Arrival::New(at(10)),
                Arrival::New(at(12)),
                Arrival::Late(at(11)),
                Arrival::Duplicate(at(11)),
                Arrival::New(at(9)),
                Arrival::Duplicate(at(12)),
            ]
        );
    }
}
