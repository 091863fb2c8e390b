//! Fields that are not whole bytes (AV1 specification §4.10), read and written.

use arrayvec::ArrayVec;

/// A reader of at most 255 bytes, as a header extension element has.
#[derive(Clone, Copy, Debug)]
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    /// How many bits were read.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// f(n), for up to 32 bits; `None` past the end.
    pub(super) fn bits(&mut self, count: u32) -> Option<u32> {
        let end = self.at + count as usize;
        if end > self.data.len() * 8 {
            return None;
        }
        let mut value = 0;
        for at in self.at..end {
            let bit = self.data[at / 8] >> (7 - at % 8) & 1;
            value = value << 1 | u32::from(bit);
        }
        self.at = end;
        Some(value)
    }

    /// f(n) for up to 8 bits.
    pub(super) fn small(&mut self, count: u32) -> Option<u8> {
        self.bits(count.min(8)).map(|value| value as u8)
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        self.bits(1).map(|bit| bit == 1)
    }

    /// ns(n): a value below `bound`, in one bit less where that does.
    pub(super) fn below(&mut self, bound: u8) -> Option<u8> {
        let (width, short) = non_symmetric(bound);
        let value = self.small(width - 1)?;
        if value < short { Some(value) } else { Some((value << 1) - short + self.small(1)?) }
    }
}

/// The longer width of ns(n), and how many values take one bit less.
fn non_symmetric(bound: u8) -> (u32, u8) {
    let width = u8::BITS - bound.leading_zeros();
    // At most 33 values are told apart here, so the width is 6 at most.
    let all = 1u16 << width;
    (width.max(1), u8::try_from(all - u16::from(bound)).unwrap_or(u8::MAX))
}

/// What a header extension element can carry (RFC 8285 §4.3).
pub type Element = ArrayVec<u8, 255>;

/// A writer into an element. What does not fit is lost, and said at the end.
#[derive(Debug)]
pub(super) struct BitWriter<'a> {
    out: &'a mut Element,
    /// Bits used of the last byte; 0 if it is full, or there is none.
    used: u32,
    overflow: bool,
}

impl<'a> BitWriter<'a> {
    pub(super) fn new(out: &'a mut Element) -> Self {
        out.clear();
        Self { out, used: 0, overflow: false }
    }

    /// f(n), for up to 32 bits.
    pub(super) fn bits(&mut self, value: u32, count: u32) {
        for shift in (0..count).rev() {
            if self.used == 0 && self.out.try_push(0).is_err() {
                self.overflow = true;
                return;
            }
            let bit = (value >> shift & 1) as u8;
            if let Some(last) = self.out.last_mut() {
                *last |= bit << (7 - self.used);
            }
            self.used = (self.used + 1) % 8;
        }
    }

    /// ns(n).
    pub(super) fn below(&mut self, value: u8, bound: u8) {
        let (width, short) = non_symmetric(bound);
        if value < short {
            self.bits(u32::from(value), width - 1);
        } else {
            self.bits(u32::from(value) + u32::from(short), width);
        }
    }

    /// Whether everything fitted.
    pub(super) fn finish(self) -> bool {
        !self.overflow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_below_a_bound_take_one_bit_less_where_they_can() {
        // AV1 specification §4.10.7: of 5 values the first 3 have two bits.
        let mut out = Element::new();
        let mut writer = BitWriter::new(&mut out);
        for value in 0..5 {
            writer.below(value, 5);
        }
        assert!(writer.finish());
        assert_eq!(out.as_slice(), [0b0001_1011, 0b0111_0000]);
        for bound in 1..=33 {
            for value in 0..bound {
                let mut out = Element::new();
                let mut writer = BitWriter::new(&mut out);
                writer.below(value, bound);
                writer.bits(1, 1);
                let mut reader = BitReader::new(&out);
                assert_eq!(reader.below(bound), Some(value), "{value} of {bound}");
                assert_eq!(reader.flag(), Some(true), "{value} of {bound}");
            }
        }
    }

    #[test]
    fn nothing_is_read_past_the_end_or_written_past_an_element() {
        let mut reader = BitReader::new(&[0xa5]);
        assert_eq!((reader.bits(4), reader.bits(5), reader.bits(4)), (Some(10), None, Some(5)));
        assert_eq!((reader.bits(0), reader.flag()), (Some(0), None));
        let mut out = Element::new();
        let mut writer = BitWriter::new(&mut out);
        for _ in 0..64 {
            writer.bits(u32::MAX, 32);
        }
        assert!(!writer.finish());
        assert_eq!(out.len(), 255);
    }
}
