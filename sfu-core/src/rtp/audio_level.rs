//! Client-to-mixer audio level (RFC 6464).

/// How loud one audio packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLevel {
    /// Whether the sender believes that this is speech.
    pub voice: bool,
    /// Level in dBov: 0 is the loudest, -127 silence.
    pub level_dbov: i8,
}

impl AudioLevel {
    /// Reads the data of the header extension element (RFC 6464 §3); `None` if it is empty.
    /// Anything behind the first byte is ignored: the two-byte form may pad it.
    #[must_use]
    pub fn parse(data: &[u8]) -> Option<Self> {
        let byte = *data.first()?;
        Some(Self { voice: byte & 0x80 != 0, level_dbov: -(byte & 0x7f).cast_signed() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_level() {
        for byte in 0..=255u8 {
            let level = AudioLevel::parse(&[byte]).unwrap();
            assert_eq!(level.voice, byte > 127);
            assert_eq!(i32::from(level.level_dbov), -(i32::from(byte) % 128));
        }
        assert_eq!(
            AudioLevel::parse(&[0x85, 9]).map(|l| (l.voice, l.level_dbov)),
            Some((true, -5))
        );
        assert_eq!(AudioLevel::parse(&[]), None);
    }
}
