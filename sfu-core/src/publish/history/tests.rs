//! The history against a model that keeps everything.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::publish::test_clock::origin;

#[test]
fn a_packet_is_found_as_it_was_kept() {
    let mut history = History::new(MediaKind::Video);
    let mut packet = stored(origin(), 7);
    packet.extensions.dependency_descriptor = SmallVec::from_slice(&[9; 200]);
    packet.extensions.audio_level = Some(0x85);
    history.insert(7, packet.clone(), &[1, 2, 3]).unwrap();
    assert_eq!(history.get(7), Some((&packet, &[1, 2, 3][..])));
    assert!(history.contains(7) && !history.contains(8));
    assert_eq!(history.get(7 + limits::HISTORY_VIDEO_PACKETS as u64), None);
}

#[test]
fn the_bounds_are_where_they_are_said_to_be() {
    let now = origin();
    let mut history = History::new(MediaKind::Audio);
    let kept = limits::HISTORY_AUDIO_PACKETS as u64;
    let newest = 1_000_000;
    let mut insert = |index, payload: &[u8]| history.insert(index, stored(now, index), payload);
    assert_eq!(insert(newest, &[0; limits::DATAGRAM_BYTES_MAX]), Ok(()));
    assert_eq!(insert(newest, &[]), Err(DropReason::Duplicate));
    assert_eq!(insert(newest - kept, &[]), Err(DropReason::TooOld));
    assert_eq!(insert(newest - kept + 1, &[5]), Ok(()));
    assert_eq!(insert(0, &[]), Err(DropReason::TooOld));
    assert_eq!(insert(newest + 1, &[0; limits::DATAGRAM_BYTES_MAX + 1]), Err(DropReason::Oversize));
    assert_eq!(insert(newest + 1, &[6]), Ok(()), "the oversized one left no trace");
    assert!(!history.contains(newest - kept + 1), "its slot is taken");
    assert_eq!(history.newest(), Some(newest + 1));
}

#[test]
fn what_has_been_cleared_is_gone_and_may_come_again() {
    let now = origin();
    let mut history = History::new(MediaKind::Audio);
    history.insert(500, stored(now, 500), &[1]).unwrap();
    history.clear();
    assert!(!history.contains(500));
    assert_eq!(history.newest(), None);
    history.insert(3, stored(now, 3), &[2]).unwrap();
    assert_eq!(history.get(3).unwrap().1, [2]);
}

#[test]
fn a_second_of_video_at_eight_megabits_is_kept() {
    let now = origin();
    let mut history = History::new(MediaKind::Video);
    for index in 0..5_000u64 {
        history.insert(index, stored(now, index), &payload(index, 1_000)).unwrap();
        for back in [0, 1, 500, 999] {
            if let Some(old) = index.checked_sub(back) {
                assert_eq!(history.get(old).unwrap().1, payload(old, 1_000), "{back} back");
            }
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_found_that_was_not_kept(
        steps in vec((prop_oneof![9 => 0..4i64, 3 => -20..0i64, 1 => -200..200i64], 0..600usize), 1..400),
        packets in prop_oneof![Just(16usize), Just(64)],
        bytes in 1_500..6_000usize,
    ) {
        let now = origin();
        let mut history = History::with_capacity(packets, bytes);
        let mut model = Model { packets: packets as u64, kept: BTreeMap::new(), newest: None };
        let mut index = 1_000u64;
        for (step, length) in steps {
            index = index.saturating_add_signed(step);
            let got = history.insert(index, stored(now, index), &payload(index, length));
            prop_assert_eq!(got, model.insert(index, length));
            model.check(&history, bytes)?;
        }
    }
}

/// Remembers every packet, and in which order they came.
struct Model {
    packets: u64,
    /// Length and number of insertion by index.
    kept: BTreeMap<u64, (usize, usize)>,
    newest: Option<u64>,
}

impl Model {
    fn insert(&mut self, index: u64, length: usize) -> Result<(), DropReason> {
        if self.newest.is_some_and(|newest| index + self.packets <= newest) {
            return Err(DropReason::TooOld);
        }
        if self.kept.contains_key(&index) {
            return Err(DropReason::Duplicate);
        }
        let number = self.kept.len();
        self.kept.insert(index, (length, number));
        self.newest = self.newest.max(Some(index));
        Ok(())
    }

    /// What is found is right, and what must still be there is found.
    fn check(&self, history: &History, bytes: usize) -> Result<(), TestCaseError> {
        for (&index, &(length, number)) in &self.kept {
            let since: usize =
                self.kept.values().filter(|other| other.1 >= number).map(|other| other.0).sum();
            let recent = self.newest.is_none_or(|newest| index + self.packets > newest);
            match history.get(index) {
                Some((packet, found)) => {
                    prop_assert_eq!(u64::from(packet.timestamp), index);
                    prop_assert_eq!(found, payload(index, length));
                }
                // Less than a payload is wasted at the end of the ring, once per turn.
                None => prop_assert!(!recent || since + 600 > bytes, "{} is missing", index),
            }
        }
        Ok(())
    }
}

fn stored(arrival: Instant, index: u64) -> Stored {
    Stored {
        timestamp: index as u32,
        marker: index.is_multiple_of(2),
        payload_type: PayloadType(96),
        arrival,
        extensions: StoredExtensions::default(),
    }
}

/// A payload that no other index has.
fn payload(index: u64, length: usize) -> Vec<u8> {
    (0..length).map(|at| (index.wrapping_mul(31).wrapping_add(at as u64 * 7) % 251) as u8).collect()
}
