//! Numbers that wrap on the wire, continued as `u64`s that do not.

/// Where the line of a sequence number begins: its first value is placed one full turn up, so that
/// packets from before it have room.
pub const SEQUENCE_BASE: u64 = 1 << 16;

/// Where the line of a timestamp begins; see [`SEQUENCE_BASE`].
pub const TIMESTAMP_BASE: u64 = 1 << 32;

/// Continues a 16-bit number. Each value is placed within half a turn of the highest so far; at
/// exactly half a turn it is taken for an old one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwrapper {
    highest: Option<u64>,
}

impl Unwrapper {
    /// Places `sequence` on the line and moves on if it is the highest.
    pub fn unwrap(&mut self, sequence: u16) -> u64 {
        let index = self.peek(sequence);
        self.highest = self.highest.max(Some(index));
        index
    }

    /// Where `sequence` would be placed.
    #[must_use]
    pub fn peek(&self, sequence: u16) -> u64 {
        let Some(highest) = self.highest else { return SEQUENCE_BASE + u64::from(sequence) };
        let distance = sequence.wrapping_sub(highest as u16).cast_signed();
        highest.saturating_add_signed(i64::from(distance))
    }
}

/// Continues a 32-bit timestamp, as [`Unwrapper`] does a sequence number.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimestampUnwrapper {
    highest: Option<u64>,
}

impl TimestampUnwrapper {
    /// Places `timestamp` on the line and moves on if it is the highest.
    pub fn unwrap(&mut self, timestamp: u32) -> u64 {
        let time = self.peek(timestamp);
        self.highest = self.highest.max(Some(time));
        time
    }

    /// Where `timestamp` would be placed.
    #[must_use]
    pub fn peek(&self, timestamp: u32) -> u64 {
        let Some(highest) = self.highest else { return TIMESTAMP_BASE + u64::from(timestamp) };
        let distance = timestamp.wrapping_sub(highest as u32).cast_signed();
        highest.saturating_add_signed(i64::from(distance))
    }
}
