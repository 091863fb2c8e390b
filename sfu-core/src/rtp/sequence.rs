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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn half_a_turn_back_is_old_and_less_is_new() {
        let table = [
            (0u16, 0x7fffu16, 0x7fff_i64),
            (0, 0x8000, -0x8000),
            (0, 0xffff, -1),
            (0xffff, 0, 1),
            (0xffff, 0x7ffe, 0x7fff),
            (0x8000, 0, -0x8000),
        ];
        for (first, then, distance) in table {
            let mut unwrapper = Unwrapper::default();
            let start = unwrapper.unwrap(first);
            assert_eq!(start, SEQUENCE_BASE + u64::from(first));
            assert_eq!(unwrapper.peek(then), start.wrapping_add_signed(distance), "{first} {then}");
        }
    }

    #[test]
    fn peeking_and_old_values_move_nothing() {
        let mut unwrapper = Unwrapper::default();
        assert_eq!(unwrapper.peek(9), SEQUENCE_BASE + 9);
        unwrapper.unwrap(100);
        let _ = unwrapper.peek(30_000);
        unwrapper.unwrap(65_000);
        assert_eq!(unwrapper.unwrap(32_867), SEQUENCE_BASE + 32_867, "still relative to 100");
    }

    proptest! {
        #[test]
        fn sequence_numbers_follow_the_oracle_over_three_turns(
            start: u16,
            steps in proptest::collection::vec((0..900u64, 0..32_767u64, any::<bool>()), 500),
        ) {
            let mut unwrapper = Unwrapper::default();
            let origin = SEQUENCE_BASE + u64::from(start);
            let mut highest = origin;
            prop_assert_eq!(unwrapper.unwrap(start), origin);
            for (ahead, back, late) in steps {
                highest += ahead;
                prop_assert_eq!(unwrapper.peek(highest as u16), highest);
                prop_assert_eq!(unwrapper.unwrap(highest as u16), highest);
                if late {
                    let old = highest - back;
                    prop_assert_eq!(unwrapper.unwrap(old as u16), old);
                }
            }
            // Enough on average for three turns.
            prop_assert!(highest > origin + 2 * 65_536);
        }

        #[test]
        fn timestamps_follow_the_oracle_over_three_turns(
            start: u32,
            steps in proptest::collection::vec((0..0x7fff_ffffu64, 0..0x7fff_ffffu64), 40),
        ) {
            let mut unwrapper = TimestampUnwrapper::default();
            let mut highest = TIMESTAMP_BASE + u64::from(start);
            prop_assert_eq!(unwrapper.unwrap(start), highest);
            for (ahead, back) in steps {
                highest += ahead;
                prop_assert_eq!(unwrapper.unwrap(highest as u32), highest);
                let old = highest - back;
                prop_assert_eq!(unwrapper.peek(old as u32), old);
                prop_assert_eq!(unwrapper.unwrap(old as u32), old);
            }
            prop_assert!(highest > 3 * TIMESTAMP_BASE);
        }
    }
}
