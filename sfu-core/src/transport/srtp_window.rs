//! What was received of each source, so that no packet is taken twice (RFC 3711 §3.3.2), and which
//! index a sequence number stands for (§3.3.1).

use crate::drops::DropReason;
use crate::limits::{REPLAY_WINDOW_PACKETS, SSRCS_PER_PEER_MAX};

const WORD: usize = u64::BITS as usize;
const _: () = assert!(REPLAY_WINDOW_PACKETS.is_multiple_of(WORD));

/// The sources of one peer, for SRTP or for SRTCP. Only what was authenticated gets in.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// Sorted by SSRC.
    windows: Vec<(u32, Window)>,
}

/// The latest packets of one source.
#[derive(Debug)]
struct Window {
    highest: u64,
    /// A bit for each of the latest packets, by the rest of its index.
    seen: [u64; REPLAY_WINDOW_PACKETS / WORD],
}

impl Sources {
    /// The index a sequence number most likely stands for: the one nearest to the highest so far,
    /// rollover 0 for the first.
    pub(super) fn index(&self, ssrc: u32, sequence: u16) -> u64 {
        let Some(window) = self.find(ssrc) else { return u64::from(sequence) };
        let ahead = sequence.wrapping_sub(window.highest as u16).cast_signed();
        // What would lie before the first rollover lies in it, far ahead.
        window.highest.checked_add_signed(ahead.into()).unwrap_or(u64::from(sequence))
    }

    /// Whether a packet may be taken, as far as can be told before it is authenticated.
    pub(super) fn check(&self, ssrc: u32, index: u64) -> Result<(), DropReason> {
        match self.find(ssrc) {
            Some(window) if window.knows(index) => Err(DropReason::SrtpReplay),
            None if self.windows.len() >= SSRCS_PER_PEER_MAX => Err(DropReason::SsrcCap),
            _ => Ok(()),
        }
    }

    /// Notes a packet that was checked and is authentic.
    pub(super) fn note(&mut self, ssrc: u32, index: u64) {
        match self.windows.binary_search_by_key(&ssrc, |&(ssrc, _)| ssrc) {
            Ok(at) => self.windows[at].1.note(index),
            Err(at) => {
                let mut window = Window { highest: index, seen: Default::default() };
                window.note(index);
                self.windows.insert(at, (ssrc, window));
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.windows.len()
    }

    fn find(&self, ssrc: u32) -> Option<&Window> {
        let at = self.windows.binary_search_by_key(&ssrc, |&(ssrc, _)| ssrc).ok()?;
        Some(&self.windows[at].1)
    }
}

impl Window {
    /// Whether a packet was here, or is too old to tell.
    fn knows(&self, index: u64) -> bool {
        let Some(age) = self.highest.checked_sub(index) else { return false };
        let (word, bit) = place(index);
        age >= REPLAY_WINDOW_PACKETS as u64 || self.seen[word] & bit != 0
    }

    fn note(&mut self, index: u64) {
        if index > self.highest {
            let passed = (index - self.highest).min(REPLAY_WINDOW_PACKETS as u64);
            for missing in index - passed + 1..index {
                let (word, bit) = place(missing);
                self.seen[word] &= !bit;
            }
            self.highest = index;
        }
        let (word, bit) = place(index);
        self.seen[word] |= bit;
    }
}

fn place(index: u64) -> (usize, u64) {
    let at = index as usize % REPLAY_WINDOW_PACKETS;
    (at / WORD, 1 << (at % WORD))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const SSRC: u32 = 7;

    #[test]
    fn sequence_numbers_roll_over_both_ways() {
        let mut sources = Sources::default();
        assert_eq!(sources.index(SSRC, 40_000), 40_000, "the first is of rollover 0");
        sources.note(SSRC, 65_530);
        assert_eq!(sources.index(SSRC, 3), 0x1_0003);
        sources.note(SSRC, 0x1_0003);
        assert_eq!(sources.index(SSRC, 65_531), 65_531, "late, from before the rollover");
        assert_eq!(sources.index(SSRC, 4), 0x1_0004);
        let mut young = Sources::default();
        young.note(SSRC, 5);
        assert_eq!(young.index(SSRC, 60_000), 60_000, "nothing lies before rollover 0");
    }

    #[test]
    fn sources_are_bounded_and_known_ones_go_on() {
        let mut sources = Sources::default();
        for ssrc in 0..SSRCS_PER_PEER_MAX as u32 {
            assert_eq!(sources.check(ssrc, 1), Ok(()));
            sources.note(ssrc, 1);
        }
        assert_eq!(sources.check(u32::MAX, 1), Err(DropReason::SsrcCap));
        assert_eq!(sources.check(3, 2), Ok(()));
        assert_eq!(sources.check(3, 1), Err(DropReason::SrtpReplay));
    }

    proptest! {
        /// Against an oracle that remembers everything.
        #[test]
        fn each_index_is_taken_once(steps in proptest::collection::vec(0u64..3000, 1..500)) {
            let mut sources = Sources::default();
            let mut taken = BTreeSet::new();
            let mut base = 10_000;
            for step in steps {
                // Mostly near the highest, now and then a leap beyond the window.
                let index = base + step - 1_500;
                let highest = taken.last().copied().unwrap_or(0);
                let old = index + REPLAY_WINDOW_PACKETS as u64 <= highest;
                let fresh = !old && !taken.contains(&index);
                prop_assert_eq!(sources.check(SSRC, index).is_ok(), fresh, "{}", index);
                if fresh {
                    sources.note(SSRC, index);
                    taken.insert(index);
                    base = base.max(index);
                }
            }
        }
    }
}
