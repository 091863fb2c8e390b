//! [`Unwrapper`] and [`NumberSet`]: 16-bit sequence numbers made endless, and a set of them.

use std::ops::Range;

/// Turns 16-bit sequence numbers into 64-bit ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwrapper {
    highest: Option<u64>,
}

impl Unwrapper {
    /// Where the first number lands, so that earlier ones stay above zero.
    const START: u64 = 1 << 32;

    /// The endless form of `number`: the one nearest to the highest seen.
    pub fn unwrap(&mut self, number: u16) -> u64 {
        let Some(highest) = self.highest else {
            let first = Self::START | u64::from(number);
            self.highest = Some(first);
            return first;
        };
        let step = i64::from(number.wrapping_sub(highest as u16) as i16);
        let unwrapped = highest.saturating_add_signed(step);
        self.highest = Some(highest.max(unwrapped));
        unwrapped
    }
}

/// A set of numbers near each other.
#[derive(Clone, Debug, Default)]
pub struct NumberSet {
    /// The number of bit 0; a multiple of 64.
    base: u64,
    words: Vec<u64>,
    len: u64,
}

impl NumberSet {
    /// Numbers further from the first than this are refused: 4 MiB of bits.
    pub const SPAN_MAX: u64 = 1 << 25;

    /// Adds a number; false if it was in the set, or lies outside its span.
    pub fn insert(&mut self, number: u64) -> bool {
        if self.words.is_empty() {
            self.base = number & !63;
        }
        if number < self.base {
            let words = (self.base - number).div_ceil(64);
            if words * 64 > Self::SPAN_MAX {
                return false;
            }
            self.words.splice(0..0, std::iter::repeat_n(0, words as usize));
            self.base -= words * 64;
        }
        let at = number - self.base;
        if at >= Self::SPAN_MAX {
            return false;
        }
        let word = (at / 64) as usize;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let bit = 1 << (at % 64);
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.len += u64::from(new);
        new
    }

    /// Whether the number is in the set.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        number.checked_sub(self.base).is_some_and(|at| {
            self.words.get((at / 64) as usize).is_some_and(|word| word >> (at % 64) & 1 == 1)
        })
    }

    /// How many numbers are in the set.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Lowest and highest number.
    #[must_use]
    pub fn bounds(&self) -> Option<(u64, u64)> {
        let first = self.words.iter().position(|word| *word != 0)?;
        let last = self.words.iter().rposition(|word| *word != 0)?;
        let low = self.base + first as u64 * 64 + u64::from(self.words[first].trailing_zeros());
        let high = self.base + last as u64 * 64 + 63 - u64::from(self.words[last].leading_zeros());
        Some((low, high))
    }

    /// How many numbers of the set lie in `range`.
    #[must_use]
    pub fn count_in(&self, range: Range<u64>) -> u64 {
        range.filter(|number| self.contains(*number)).count() as u64
    }

    /// How many numbers between the lowest and the highest are not in the set.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.bounds().map_or(0, |(low, high)| high - low + 1 - self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unwrapping_crosses_the_end_both_ways() {
        let mut unwrapper = Unwrapper::default();
        let first = unwrapper.unwrap(0xffff);
        assert_eq!(unwrapper.unwrap(1), first + 2);
        assert_eq!(unwrapper.unwrap(0), first + 1);
        assert_eq!(unwrapper.unwrap(0xfffe), first - 1);
        assert_eq!(unwrapper.unwrap(2), first + 3);
    }

    #[test]
    fn a_set_counts_once_and_knows_its_holes() {
        let mut set = NumberSet::default();
        for number in [1000, 1003, 1000, 930, 1100] {
            set.insert(number);
        }
        assert!(!set.insert(1003));
        assert_eq!(set.len(), 4);
        assert_eq!(set.bounds(), Some((930, 1100)));
        assert_eq!(set.missing(), 171 - 4);
        assert_eq!(set.count_in(1000..1100), 2);
        assert!(!set.insert(1000 + 2 * NumberSet::SPAN_MAX), "a wild number costs no memory");
        assert_eq!(set.len(), 4);
    }
}
