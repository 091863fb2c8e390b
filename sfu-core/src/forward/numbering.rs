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
    /// `number - from + to`. In rising order; empty without a source.
    breakpoints: VecDeque<(u64, u64)>,
    /// Highest number of the source seen, mapped or taken out.
    highest: Option<u64>,
}

impl Numbering {
    /// A line that begins with `first`.
    #[must_use]
    pub(super) fn new(first: u64) -> Self {
        Self { next: first, breakpoints: VecDeque::new(), highest: None }
    }

    /// Goes on with a new source, whose first number is `from`.
    pub(super) fn begin(&mut self, from: u64) {
        self.breakpoints.clear();
        self.breakpoints.push_back((from, self.next));
        self.highest = None;
    }

    /// Forgets the source.
    pub(super) fn end(&mut self) {
        self.breakpoints.clear();
        self.highest = None;
    }

    /// Whether there is a source.
    #[must_use]
    pub(super) fn has_source(&self) -> bool {
        !self.breakpoints.is_empty()
    }

    /// Highest number of the source seen, mapped or taken out.
    #[must_use]
    pub(super) fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// Where a number goes; `None` if it is from before the source began, or was taken out.
    pub(super) fn map(&mut self, number: u64) -> Option<u64> {
        let position = self.breakpoints.iter().rposition(|&(from, _)| from <= number)?;
        let (from, to) = self.breakpoints[position];
        let mapped = (number - from).checked_add(to)?;
        if self.breakpoints.get(position + 1).is_some_and(|&(_, next)| mapped >= next) {
            return None;
        }
        self.highest = self.highest.max(Some(number));
        self.next = self.next.max(mapped.saturating_add(1));
        Some(mapped)
    }

    /// Takes a number out of the line: later ones close ranks. False if it is not the newest, and
    /// its place has been left open already.
    pub(super) fn skip(&mut self, number: u64) -> bool {
        if self.highest.is_some_and(|highest| number <= highest) {
            return false;
        }
        let several = self.breakpoints.len() > 1;
        let Some((from, to)) = self.breakpoints.back_mut() else { return false };
        if number < *from {
            return false;
        }
        self.highest = Some(number);
        if number == *from && several {
            // Nothing came between this one and the one taken out before.
            *from = number + 1;
            return true;
        }
        let place = number - *from + *to;
        self.breakpoints.push_back((number + 1, place));
        if self.breakpoints.len() > BREAKPOINTS_MAX {
            self.breakpoints.pop_front();
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
