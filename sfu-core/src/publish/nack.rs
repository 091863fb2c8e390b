//! Which packets of one source are missing and when to ask for them (RFC 4585 §6.2.1).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::limits;

/// Shortest time between two NACKs to one source, and so between two requests for one packet.
const INTERVAL_MIN: Duration = Duration::from_millis(20);
/// How long a gap may be nothing but reordering.
const REORDER_WAIT: Duration = Duration::from_millis(5);
/// How many packets may overtake one before it is taken for lost.
const REORDER_PACKETS: u64 = 2;

/// Follows the extended sequence numbers of one source and asks for what is missing.
#[derive(Debug, Default)]
pub struct NackGenerator {
    highest: Option<u64>,
    received: ReceivedWindow,
    /// By index, ascending; at most [`limits::NACK_OUTSTANDING_MAX`].
    missing: VecDeque<Missing>,
    /// No later than the first moment at which something is due.
    due: Option<Instant>,
    /// When the last NACK went out.
    asked: Option<Instant>,
    given_up: bool,
    /// The index behind the last packet that was too far behind to place.
    stray: Option<u64>,
}

/// A packet that has not come.
#[derive(Clone, Copy, Debug)]
struct Missing {
    index: u64,
    since: Instant,
    tries: u8,
    next: Instant,
}

impl Missing {
    /// When it is asked for again, or given up.
    fn due(&self) -> Instant {
        self.next.min(self.since + limits::NACK_AGE_MAX)
    }
}

/// What a packet is to the line of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NackVerdict {
    /// The newest so far; packets before it may now be missing.
    InOrder,
    /// It fills a gap.
    Recovered,
    /// It was here before, or is too far behind to tell.
    Duplicate,
    /// It is more than [`limits::SEQUENCE_JUMP_MAX`] ahead, or the second in a row far behind:
    /// nothing before it will be asked for.
    /// The caller begins anew and asks for a keyframe.
    Restart,
}

impl NackGenerator {
    /// Notes a packet, received or recovered.
    pub fn on_packet(&mut self, now: Instant, index: u64) -> NackVerdict {
        let Some(highest) = self.highest else {
            self.begin(index);
            return NackVerdict::InOrder;
        };
        if index <= highest {
            return self.on_late(highest, index);
        }
        if index - highest > limits::SEQUENCE_JUMP_MAX {
            *self = Self { asked: self.asked, ..Self::default() };
            self.begin(index);
            return NackVerdict::Restart;
        }
        self.received.advance(highest, index);
        self.highest = Some(index);
        self.add_missing(now, highest + 1..index);
        self.hasten(now, index);
        NackVerdict::InOrder
    }

    /// Appends to `out` the sequence numbers to ask for now, in order; `rtt` is the round-trip time
    /// to the publisher. Gives true if, since the last call, packets were given up that will never
    /// come: a video source should be asked for a keyframe.
    pub fn poll(&mut self, now: Instant, rtt: Duration, out: &mut Vec<u16>) -> bool {
        if self.due.is_some_and(|due| due <= now) {
            self.give_up(now);
            if self.asked.is_none_or(|asked| asked + INTERVAL_MIN <= now) {
                self.ask(now, rtt, out);
            }
            self.schedule();
        }
        std::mem::take(&mut self.given_up)
    }

    /// Asks no more for what came before `index`, where a keyframe begins: nobody needs it now, and
    /// to give it up later would only cost another keyframe.
    pub fn forget_before(&mut self, index: u64) {
        let forgotten = self.missing.partition_point(|missing| missing.index < index);
        self.missing.drain(..forgotten);
    }

    /// When [`NackGenerator::poll`] wants to be called next.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// How many packets are missing.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.missing.len()
    }

    fn begin(&mut self, index: u64) {
        self.highest = Some(index);
        self.received.set(index);
    }

    fn on_late(&mut self, highest: u64, index: u64) -> NackVerdict {
        if highest - index >= ReceivedWindow::PACKETS {
            // Two in a row are a source that goes on elsewhere (RFC 3550 A.1), such as after a
            // jump ahead of more than half a turn, which looks like one back.
            let follows = self.stray.replace(index + 1) == Some(index);
            return if follows { NackVerdict::Restart } else { NackVerdict::Duplicate };
        }
        if !self.received.set(index) {
            return NackVerdict::Duplicate;
        }
        if let Ok(at) = self.missing.binary_search_by_key(&index, |missing| missing.index) {
            self.missing.remove(at);
        }
        NackVerdict::Recovered
    }

    fn add_missing(&mut self, now: Instant, gap: std::ops::Range<u64>) {
        if gap.is_empty() {
            return;
        }
        let next = now + REORDER_WAIT;
        if self.missing.len() + (gap.end - gap.start) as usize > limits::NACK_OUTSTANDING_MAX {
            // So much is gone that only a keyframe helps; what is older need not come any more.
            self.missing.clear();
            self.given_up = true;
            self.due = Some(now);
            return;
        }
        self.missing.extend(gap.map(|index| Missing { index, since: now, tries: 0, next }));
        self.due_by(next);
    }

    /// Makes those due that too many packets have overtaken to be merely late.
    fn hasten(&mut self, now: Instant, highest: u64) {
        let mut hastened = false;
        // New ones are at the back; one that was asked for ends the walk.
        for missing in self.missing.iter_mut().rev() {
            if missing.tries > 0 || missing.next <= now {
                break;
            }
            if highest - missing.index > REORDER_PACKETS {
                missing.next = now;
                hastened = true;
            }
        }
        if hastened {
            self.due_by(now);
        }
    }

    fn give_up(&mut self, now: Instant) {
        let before = self.missing.len();
        self.missing.retain(|missing| {
            let tried_out = missing.tries >= limits::NACK_TRIES_MAX && missing.next <= now;
            let aged = now.saturating_duration_since(missing.since) >= limits::NACK_AGE_MAX;
            !tried_out && !aged
        });
        self.given_up |= self.missing.len() < before;
    }

    fn ask(&mut self, now: Instant, interval: Duration, out: &mut Vec<u16>) {
        for missing in self.missing.iter_mut().filter(|missing| missing.next <= now) {
            missing.tries += 1;
            missing.next = now + interval;
            out.push(missing.index as u16);
            self.asked = Some(now);
        }
    }

    /// Finds anew when something is due: no sooner than another NACK may go out.
    fn schedule(&mut self) {
        let first = self.missing.iter().map(Missing::due).min();
        let earliest = self.asked.map(|asked| asked + INTERVAL_MIN);
        self.due = first.map(|first| earliest.map_or(first, |earliest| first.max(earliest)));
    }

    /// Sees to it that something is due at `then`, or as soon after as another NACK may go out.
    fn due_by(&mut self, then: Instant) {
        let then = self.asked.map_or(then, |asked| then.max(asked + INTERVAL_MIN));
        self.due = Some(self.due.map_or(then, |due| due.min(then)));
    }
}

/// Which of the latest packets have been received, one bit each.
#[derive(Debug, Default)]
struct ReceivedWindow {
    bits: [u64; 16],
}

impl ReceivedWindow {
    /// How many packets back it remembers.
    const PACKETS: u64 = 1024;

    /// Moves on from `highest` to `index`, which is received, with nothing received in between.
    fn advance(&mut self, highest: u64, index: u64) {
        for passed in highest + 1..index {
            let (word, bit) = Self::place(passed);
            self.bits[word] &= !bit;
        }
        let (word, bit) = Self::place(index);
        self.bits[word] |= bit;
    }

    /// Notes a packet; false if it had been noted before.
    fn set(&mut self, index: u64) -> bool {
        let (word, bit) = Self::place(index);
        let new = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        new
    }

    fn place(index: u64) -> (usize, u64) {
        ((index / 64 % 16) as usize, 1 << (index % 64))
    }
}

const _: () = assert!(ReceivedWindow::PACKETS > limits::SEQUENCE_JUMP_MAX);

#[cfg(test)]
mod tests;
