//! [`Stamp`]: what every synthetic payload says of itself, so that a viewer can account for each
//! packet whatever an SFU did to its header.

use std::time::{SystemTime, UNIX_EPOCH};

/// Marks a payload of ours.
const MAGIC: u32 = 0x5346_5562;

/// Length of a stamp on the wire.
pub const STAMP_BYTES: usize = 32;

/// One packet's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The publishing track: random, so that two publishers of a room are never mixed up.
    pub source: u32,
    /// The number of the packet in its track, from 0 without gaps.
    pub sequence: u64,
    /// When the packet was due, in microseconds of [`wall_clock_us`]. The due time, not the time
    /// of the send call: a sender that falls behind must not hide its delay.
    pub due_us: u64,
    /// The number of the frame in its track.
    pub frame: u32,
    /// The packet's place in its frame.
    pub index: u16,
    /// How many packets the frame has.
    pub count: u16,
}

impl Stamp {
    /// Appends the stamp to a payload.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC.to_be_bytes());
        out.extend_from_slice(&self.source.to_be_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.due_us.to_be_bytes());
        out.extend_from_slice(&self.frame.to_be_bytes());
        out.extend_from_slice(&self.index.to_be_bytes());
        out.extend_from_slice(&self.count.to_be_bytes());
    }

    /// Reads the stamp at the start of `data`, if there is one.
    #[must_use]
    pub fn read(data: &[u8]) -> Option<Self> {
        let data: &[u8; STAMP_BYTES] = data.get(..STAMP_BYTES)?.try_into().ok()?;
        let be32 =
            |at: usize| u32::from_be_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]]);
        let be64 = |at: usize| u64::from(be32(at)) << 32 | u64::from(be32(at + 4));
        let be16 = |at: usize| u16::from_be_bytes([data[at], data[at + 1]]);
        (be32(0) == MAGIC).then(|| Self {
            source: be32(4),
            sequence: be64(8),
            due_us: be64(16),
            frame: be32(24),
            index: be16(28),
            count: be16(30),
        })
    }
}

/// Microseconds since the Unix epoch: the only clock that processes of one machine share through
/// the standard library.
#[must_use]
pub fn wall_clock_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set after 1970");
    u64::try_from(since.as_micros()).expect("microseconds since 1970 fit 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_survives_the_wire_and_foreign_bytes_are_no_stamp() {
        let stamp = Stamp {
            source: 7,
            sequence: 0x1_0000_0001,
            due_us: 0x0006_0000_1234_5678,
            frame: 9,
            index: 2,
            count: 3,
        };
        let mut wire = Vec::new();
        stamp.write(&mut wire);
        assert_eq!(wire.len(), STAMP_BYTES);
        assert_eq!(Stamp::read(&wire), Some(stamp));
        assert_eq!(Stamp::read(&wire[..31]), None);
        wire[0] ^= 1;
        assert_eq!(Stamp::read(&wire), None);
    }
}
