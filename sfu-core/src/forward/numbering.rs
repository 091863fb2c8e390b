//! Numbers of one source after another become one line of numbers, without gaps of our making.

use std::collections::VecDeque;

/// Breakpoints kept for late packets, of which there is one for each run of neighbours that was
/// taken out: every other frame of 60 a second, for two seconds. What is later than that is lost.
const BREAKPOINTS_MAX: usize = 64;

/// One line of numbers.
#[derive(Clone, Debug)]
pub(super) struct Numbering {
    /// The number that the next new one gets at least.
    next: u64,
    /// (`from`, `to`): the source's numbers from `from` on, up to the next breakpoint, become
    /// `number - from + to`. This is the newest one, `None` without a source: kept here, so that what
    /// comes in order touches no other memory.
    newest: Option<(u64, u64)>,
    /// Those before it, in rising order.
    older: VecDeque<(u64, u64)>,
    /// Highest number of the source seen, mapped or taken out.
    highest: Option<u64>,
}

impl Numbering {
    /// A line that begins with `first`.
    #[must_use]
    pub(super) fn new(first: u64) -> Self {
        Self { next: first, newest: None, older: VecDeque::new(), highest: None }
    }

    /// Goes on with a new source, whose first number is `from`.
    pub(super) fn begin(&mut self, from: u64) {
        self.older.clear();
        self.newest = Some((from, self.next));
        self.highest = None;
    }

    /// Forgets the source.
    pub(super) fn end(&mut self) {
        self.older.clear();
        self.newest = None;
        self.highest = None;
    }

    /// Whether there is a source.
    #[must_use]
    pub(super) fn has_source(&self) -> bool {
        self.newest.is_some()
    }

    /// Highest number of the source seen, mapped or taken out.
    #[must_use]
    pub(super) fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// Where a number goes; `None` if it is from before the source began, or was taken out.
    pub(super) fn map(&mut self, number: u64) -> Option<u64> {
        let (from, to) = self.newest?;
        let mapped = match number.checked_sub(from) {
            Some(behind) => behind.checked_add(to)?,
            None => self.map_late(number, to)?,
        };
        self.highest = self.highest.max(Some(number));
        self.next = self.next.max(mapped.saturating_add(1));
        Some(mapped)
    }

    /// Where a number goes that is from before the newest breakpoint, whose place is `newest`.
    #[cold]
    fn map_late(&self, number: u64, newest: u64) -> Option<u64> {
        let position = self.older.iter().rposition(|&(from, _)| from <= number)?;
        let (from, to) = self.older[position];
        let mapped = (number - from).checked_add(to)?;
        let next = self.older.get(position + 1).map_or(newest, |&(_, next)| next);
        (mapped < next).then_some(mapped)
    }

    /// Takes a number out of the line: later ones close ranks. False if it is not the newest, and
    /// its place has been left open already.
    pub(super) fn skip(&mut self, number: u64) -> bool {
        if self.highest.is_some_and(|highest| number <= highest) {
            return false;
        }
        let Some((from, to)) = &mut self.newest else { return false };
        if number < *from {
            return false;
        }
        self.highest = Some(number);
        if number == *from && !self.older.is_empty() {
            // Nothing came between this one and the one taken out before.
            *from = number + 1;
            return true;
        }
        let place = number - *from + *to;
        self.older.push_back((*from, *to));
        self.newest = Some((number + 1, place));
        if self.older.len() >= BREAKPOINTS_MAX {
            self.older.pop_front();
        }
        true
    }
}

/// A [`Numbering`] of numbers that wrap on the wire: picture ids, frame numbers and the like.
#[derive(Clone, Debug)]
pub(super) struct Counter {
    numbering: Numbering,
    /// Highest number of the source so far, unwrapped.
    highest: Option<u64>,
}

/// Room for numbers from before the first.
const BASE: u64 = 1 << 32;

/// A keyframe this many numbers ahead of what came before, or behind it, counts anew.
const JUMP_MAX: u64 = 100;

impl Default for Counter {
    fn default() -> Self {
        Self { numbering: Numbering::new(0), highest: None }
    }
}

impl Counter {
    /// Goes on with a new source, which begins with `value`; or with one that does not count.
    pub(super) fn begin(&mut self, value: Option<u16>) {
        self.highest = value.map(|value| BASE + u64::from(value));
        match self.highest {
            Some(first) => self.numbering.begin(first),
            None => self.numbering.end(),
        }
    }

    /// Notes where a keyframe of the same source is: it may count anew.
    pub(super) fn keyframe(&mut self, value: Option<u16>, bits: u32) {
        let follows = value.zip(self.highest).is_some_and(|(value, highest)| {
            let distance = self.place(value, bits).saturating_sub(highest);
            (1..=JUMP_MAX).contains(&distance)
        });
        if !follows {
            self.begin(value);
        }
    }

    /// The number behind a value of `bits` bits: the one nearest to the highest so far.
    #[must_use]
    pub(super) fn place(&self, value: u16, bits: u32) -> u64 {
        let Some(highest) = self.highest else { return BASE + u64::from(value) };
        let half = 1u64 << (bits - 1);
        let ahead = u64::from(value).wrapping_sub(highest) & (2 * half - 1);
        if ahead < half { highest + ahead } else { (highest + ahead).saturating_sub(2 * half) }
    }

    /// Highest number of the source so far.
    #[must_use]
    pub(super) fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// What a value becomes, to be cut to the bits it has; `None` if it has no place on the line.
    pub(super) fn map(&mut self, value: u16, bits: u32) -> Option<u16> {
        if !self.numbering.has_source() {
            self.begin(Some(value));
        }
        let number = self.place(value, bits);
        self.highest = self.highest.max(Some(number));
        self.numbering.map(number).map(|mapped| mapped as u16)
    }

    /// Takes a number, as [`Self::place`] gives it, out of the line.
    pub(super) fn skip(&mut self, number: u64) {
        self.highest = self.highest.max(Some(number));
        self.numbering.skip(number);
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_keyframe_that_counts_anew_goes_on_where_the_line_was() {
        let table = [(5u16, 6), (105, 6), (106, 6), (4, 6), (0x4000, 6)];
        for (keyframe, next) in table {
            let mut counter = Counter::default();
            counter.begin(Some(0));
            for value in 0..=5 {
                assert_eq!(counter.map(value, 15), Some(value));
            }
            counter.keyframe(Some(keyframe), 15);
            let follows = (6..=105).contains(&keyframe);
            let expected = if follows { keyframe } else { next };
            assert_eq!(counter.map(keyframe, 15), Some(expected), "{keyframe}");
        }
    }

    #[test]
    fn a_source_that_does_not_count_leaves_the_line_where_it_is() {
        let mut counter = Counter::default();
        counter.begin(Some(9));
        assert_eq!(counter.map(9, 7), Some(0));
        counter.begin(None);
        assert_eq!(counter.map(77, 7), Some(1), "it does count after all");
        assert_eq!(counter.map(76, 7), None, "from before");
    }

    /// What becomes of one number of a source: skipped or not, and whether it comes late.
    fn course() -> impl Strategy<Value = Vec<(bool, u64)>> {
        vec((any::<bool>(), prop_oneof![9 => Just(0u64), 1 => 1..6u64]), 1..400)
    }

    proptest! {
        /// Against an oracle in 64 bits, over turns of every width and over sources: what is
        /// forwarded is numbered without gap, but for what was missing when a later one came.
        #[test]
        fn wrapping_numbers_follow_the_oracle(
            courses in vec((any::<u16>(), course()), 1..4),
            bits in prop::sample::select(vec![5u32, 7, 8, 15, 16]),
        ) {
            let mask = (1u64 << bits) - 1;
            let mut counter = Counter::default();
            let mut given = 0u64;
            for (start, course) in courses {
                let start = u64::from(start) & mask;
                counter.begin(Some(start as u16));
                // Places that were left open in the end are free again.
                let mut next = given;
                // Arrival: each number after those it is late by; the first is never late.
                let mut order: Vec<(u64, u64)> = (0u64..)
                    .zip(&course)
                    .map(|(at, &(_, late))| (if at == 0 { 0 } else { at + late }, at))
                    .collect();
                order.sort_unstable();
                let mut highest: Option<u64> = None;
                let mut places = std::collections::BTreeMap::new();
                for (_, at) in order {
                    let skipped = at > 0 && course[at as usize].0;
                    let value = ((start + at) & mask) as u16;
                    if skipped {
                        let number = counter.place(value, bits);
                        counter.skip(number);
                        // Late ones have their place already.
                        if highest.is_none_or(|highest| at > highest) {
                            for open in highest.map_or(0, |h| h + 1)..at {
                                places.insert(open, next);
                                next += 1;
                            }
                        }
                    } else {
                        if highest.is_none_or(|highest| at > highest) {
                            for open in highest.map_or(0, |h| h + 1)..=at {
                                places.insert(open, next);
                                next += 1;
                            }
                        }
                        let expected = places.get(&at).map(|place| (place & mask) as u16);
                        let mapped = counter.map(value, bits).map(|v| (u64::from(v) & mask) as u16);
                        given = given.max(places.get(&at).map_or(0, |place| place + 1));
                        prop_assert_eq!(mapped, expected, "number {} of {} bits", at, bits);
                    }
                    highest = highest.max(Some(at));
                }
            }
        }
    }
}
