//! [`Stamp`]: what a payload says of itself at its end, by which a receiver knows what it holds
//! whatever headers and descriptors claim.

use std::time::Duration;

use sfu_core::id::ParticipantId;

/// Frames that one frame builds on, at most.
pub const REFERENCES_MAX: usize = 3;

/// A frame that another builds on, of the same encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reference {
    /// How many pictures back: 0 is the same picture, at most 15.
    pub back: u8,
    /// Its spatial layer, 0 to 3.
    pub spatial: u8,
}

/// What a payload says of itself, in its last [`Stamp::BYTES`] bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Who made it: unique to a source for the life of the world.
    pub source: u32,
    /// Which simulcast encoding.
    pub encoding: u8,
    /// Spatial layer of SVC.
    pub spatial: u8,
    /// Temporal layer.
    pub temporal: u8,
    /// Number of the picture; encodings and spatial layers of one source share it.
    pub frame: u32,
    /// Which packet of the frame.
    pub part: u16,
    /// Packets of the frame.
    pub parts: u16,
    /// Whether decoding can start with the picture: known from every part, not only the first.
    pub keyframe: bool,
    /// When it was first sent, since the start of the world.
    pub sent: Duration,
    /// What it builds on.
    pub references: [Option<Reference>; REFERENCES_MAX],
    /// Width in pixels.
    pub width: u16,
}

impl Stamp {
    /// Length in bytes.
    pub const BYTES: usize = 27;

    /// The first of a participant's source numbers: its own number is in the low 16 bits of its
    /// name.
    #[must_use]
    pub fn first_source(participant: ParticipantId) -> u32 {
        #[allow(clippy::cast_possible_truncation, reason = "the low bits are what is asked for")]
        let number = participant.0 as u16;
        u32::from(number) << 16
    }

    /// Whether a source of this participant made it.
    #[must_use]
    pub fn is_of(&self, participant: ParticipantId) -> bool {
        self.source & !0xffff == Self::first_source(participant)
    }

    /// Appends it.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.source.to_be_bytes());
        bytes[4] = u8::from(self.keyframe) << 7 | self.encoding;
        bytes[5..9].copy_from_slice(&self.frame.to_be_bytes());
        bytes[9..11].copy_from_slice(&self.part.to_be_bytes());
        bytes[11..13].copy_from_slice(&self.parts.to_be_bytes());
        let nanos = self.sent.as_secs() * 1_000_000_000 + u64::from(self.sent.subsec_nanos());
        bytes[13..21].copy_from_slice(&nanos.to_be_bytes());
        bytes[21] = self.spatial << 4 | self.temporal;
        for (byte, reference) in bytes[22..25].iter_mut().zip(&self.references) {
            *byte = reference.map_or(0, |r| 0x80 | r.spatial << 4 | r.back);
        }
        bytes[25..].copy_from_slice(&self.width.to_be_bytes());
        out.extend_from_slice(&bytes);
    }

    /// Reads it off the end of a payload.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let bytes = payload.last_chunk::<{ Self::BYTES }>()?;
        let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|i| bytes[at + i]));
        let half = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let reference = |at: usize| {
            let byte = bytes[at];
            (byte & 0x80 != 0).then_some(Reference { back: byte & 0x0f, spatial: byte >> 4 & 0x03 })
        };
        Some(Self {
            source: word(0),
            encoding: bytes[4] & 0x7f,
            keyframe: bytes[4] & 0x80 != 0,
            frame: word(5),
            part: half(9),
            parts: half(11),
            sent: Duration::from_nanos(u64::from(word(13)) << 32 | u64::from(word(17))),
            spatial: bytes[21] >> 4,
            temporal: bytes[21] & 0x0f,
            references: [22, 23, 24].map(reference),
            width: half(25),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_survive() {
        let stamp = Stamp {
            source: 1,
            encoding: 2,
            spatial: 2,
            temporal: 1,
            frame: 3,
            part: 4,
            parts: 5,
            keyframe: true,
            sent: Duration::from_nanos(6_000_000_007),
            references: [Some(Reference { back: 4, spatial: 1 }), None, Some(Reference::default())],
            width: 1280,
        };
        let mut payload = vec![9; 10];
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert_eq!(Stamp::read(&payload[..26]), None);
    }
}
