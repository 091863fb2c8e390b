//! [`Stamp`]: what the end of each payload says of its packet, so that a subscriber can tell whose
//! it is and how old, whatever an SFU did to header and payload descriptor.

/// Marks a payload of ours.
const MAGIC: u32 = 0x5346_554c;

/// Length of a stamp on the wire.
pub const STAMP_BYTES: usize = 24;

/// One packet's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The published encoding; random, never 0.
    pub source: u32,
    /// The number of the packet in its encoding, from 0 without gaps.
    pub sequence: u64,
    /// When the packet was due, in nanoseconds since the Unix epoch. Not when it was sent: a sender
    /// that falls behind must not hide it.
    pub due_ns: u64,
}

impl Stamp {
    /// Writes the stamp over the end of `payload`, which is long enough.
    pub fn write(&self, payload: &mut [u8]) {
        let at = payload.len() - STAMP_BYTES;
        let out = &mut payload[at..];
        out[..4].copy_from_slice(&MAGIC.to_be_bytes());
        out[4..8].copy_from_slice(&self.source.to_be_bytes());
        out[8..16].copy_from_slice(&self.sequence.to_be_bytes());
        out[16..].copy_from_slice(&self.due_ns.to_be_bytes());
    }

    /// Reads the stamp at the end of `payload`, if there is one.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let data: &[u8; STAMP_BYTES] = payload.last_chunk()?;
        let be32 =
            |at: usize| u32::from_be_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]]);
        let be64 = |at: usize| u64::from(be32(at)) << 32 | u64::from(be32(at + 4));
        (be32(0) == MAGIC).then(|| Self { source: be32(4), sequence: be64(8), due_ns: be64(16) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_survives_and_foreign_bytes_are_none() {
        let stamp = Stamp { source: 7, sequence: 1 << 40 | 5, due_ns: 0x1234_5678_9abc_def0 };
        let mut payload = [0xa5; 40];
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert_eq!(payload[..16], [0xa5; 16]);
        assert_eq!(Stamp::read(&payload[..39]), None);
        assert_eq!(Stamp::read(&payload[30..]), None);
    }
}
