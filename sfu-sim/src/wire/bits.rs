//! Bits, most significant first, and the codes that H.264 and the dependency descriptor use.

/// Writes bits.
#[derive(Clone, Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    used: usize,
}

impl Writer {
    /// f(n): the lowest `count` bits.
    pub(super) fn bits(&mut self, value: u32, count: u32) {
        for at in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = (value >> at & 1) as u8;
            *self.bytes.last_mut().expect("pushed above") |= bit << (7 - self.used % 8);
            self.used += 1;
        }
    }

    pub(super) fn flag(&mut self, value: bool) {
        self.bits(value.into(), 1);
    }

    /// ue(v) of H.264 §9.1.
    pub(super) fn exponential(&mut self, value: u32) {
        let length = (value + 1).ilog2();
        self.bits(0, length);
        self.bits(value + 1, length + 1);
    }

    /// ns(n) of the AV1 specification §4.10.7: a value below `n`.
    pub(super) fn below(&mut self, value: u32, n: u32) {
        let width = n.ilog2() + 1;
        let short = (1 << width) - n;
        if value < short {
            self.bits(value, width - 1);
        } else {
            self.bits((value + short) >> 1, width - 1);
            self.bits((value + short) & 1, 1);
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads bits.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn bits(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        Some(self.bits(1)? == 1)
    }

    pub(super) fn below(&mut self, n: u32) -> Option<u32> {
        let width = n.ilog2() + 1;
        let short = (1 << width) - n;
        let value = self.bits(width - 1)?;
        if value < short { Some(value) } else { Some((value << 1) - short + self.bits(1)?) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_below_a_bound_survive() {
        for n in 1..40 {
            for value in 0..n {
                let mut writer = Writer::default();
                writer.below(value, n);
                writer.bits(0b101, 3);
                let bytes = writer.finish();
                let mut reader = Reader::new(&bytes);
                assert_eq!((reader.below(n), reader.bits(3)), (Some(value), Some(0b101)), "{n}");
            }
        }
    }
}
