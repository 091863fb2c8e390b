//! The history against a model that keeps everything.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::limits::{DATAGRAM_BYTES_MAX, HISTORY_PAGE_BYTES};
use crate::publish::test_clock::{ms, origin};

#[test]
fn a_packet_is_found_as_it_was_kept() {
    let mut pool = PagePool::default();
    let mut history = History::new(MediaKind::Video);
    let mut packet = stored(origin(), 7);
    packet.extensions.dependency_descriptor = SmallVec::from_slice(&[9; 200]);
    packet.extensions.audio_level = Some(0x85);
    history.insert(&mut pool, 7, packet.clone(), &[1, 2, 3]).unwrap();
    assert_eq!(history.get(7), Some((&packet, &[1, 2, 3][..])));
    assert!(history.contains(7) && !history.contains(8) && !history.contains(6));
    assert_eq!(history.get(7 + limits::HISTORY_VIDEO_PACKETS as u64), None);
}

#[test]
fn the_bounds_are_where_they_are_said_to_be() {
    let now = origin();
    let mut pool = PagePool::default();
    let mut history = History::new(MediaKind::Audio);
    let kept = limits::HISTORY_AUDIO_PACKETS as u64;
    let newest = 1_000_000;
    let mut insert =
        |index, payload: &[u8]| history.insert(&mut pool, index, stored(now, index), payload);
    assert_eq!(insert(newest, &[0; DATAGRAM_BYTES_MAX]), Ok(()));
    assert_eq!(insert(newest, &[]), Err(DropReason::Duplicate));
    assert_eq!(insert(newest - kept, &[]), Err(DropReason::TooOld));
    assert_eq!(insert(newest - kept + 1, &[5]), Ok(()));
    assert_eq!(insert(0, &[]), Err(DropReason::TooOld));
    assert_eq!(insert(newest + 1, &[0; DATAGRAM_BYTES_MAX + 1]), Err(DropReason::Oversize));
    assert_eq!(insert(newest + 1, &[6]), Ok(()), "the oversized one left no trace");
    assert_eq!(insert(newest - kept + 1, &[5]), Err(DropReason::TooOld), "it was forgotten");
    assert!(!history.contains(newest - kept + 1), "there is no room for it");
    assert_eq!(history.newest(), Some(newest + 1));
}

#[test]
fn what_has_been_cleared_is_gone_and_may_come_again() {
    let now = origin();
    let mut pool = PagePool::default();
    let mut history = History::new(MediaKind::Audio);
    for index in 500..800 {
        history.insert(&mut pool, index, stored(now, index), &[1]).unwrap();
    }
    history.clear(&mut pool);
    assert!(!history.contains(799));
    assert_eq!((history.newest(), pool.in_use()), (None, 0));
    history.insert(&mut pool, 3, stored(now, 3), &[2]).unwrap();
    assert_eq!(history.get(3).unwrap().1, [2]);
}

#[test]
fn a_second_of_video_at_eight_megabits_is_kept() {
    let start = origin();
    let mut pool = PagePool::default();
    let mut history = History::new(MediaKind::Video);
    for index in 0..5_000u64 {
        let packet = stored(start + ms(index), index);
        history.insert(&mut pool, index, packet, &payload(index, 1_000)).unwrap();
        for back in [0, 1, 500, 999, 1_023] {
            if let Some(old) = index.checked_sub(back) {
                assert_eq!(history.get(old).unwrap().1, payload(old, 1_000), "{back} back");
            }
        }
    }
    assert!(pool.in_use() * HISTORY_PAGE_BYTES <= 3 << 19, "{} pages", pool.in_use());
}

#[test]
fn a_quiet_encoding_holds_little_and_keeps_what_may_be_asked_for() {
    let start = origin();
    let mut pool = PagePool::default();
    let mut history = History::new(MediaKind::Video);
    // 100 kbit/s.
    for index in 0..500u64 {
        let packet = stored(start + ms(index * 80), index);
        history.insert(&mut pool, index, packet, &[1; 1_000]).unwrap();
        assert!(index < 37 || history.contains(index - 37), "not three seconds after {index}");
        assert!(pool.in_use() <= 4 && history.line.len() <= 64);
    }
    // It pauses; what came last is not missed before it goes on.
    let later = start + ms(500 * 80 + 60_000);
    history.expire(&mut pool, later);
    assert_eq!(pool.in_use(), 1);
    assert!(history.contains(499) && history.newest() == Some(499));
    assert!(history.line.len() <= HISTORY_PAGE_BYTES / 1_000, "slots go with their page");
    history.insert(&mut pool, 500, stored(later, 500), &[1; 1_000]).unwrap();
    assert!(history.contains(499) && history.contains(500));
}

#[test]
fn a_packet_without_a_page_leaves_no_trace() {
    let now = origin();
    let mut pool = PagePool::bounded(1, 0);
    let (mut first, mut second) = (History::new(MediaKind::Video), History::new(MediaKind::Video));
    first.insert(&mut pool, 1, stored(now, 1), &[1]).unwrap();
    let full = Err(DropReason::HistoryFull);
    assert_eq!(second.insert(&mut pool, 1, stored(now, 1), &[1]), full);
    assert_eq!((second.newest(), second.contains(1)), (None, false));
    first.clear(&mut pool);
    assert_eq!(second.insert(&mut pool, 1, stored(now, 1), &[1]), Ok(()));
}

#[test]
fn a_jump_far_ahead_costs_no_more_than_the_bound() {
    let now = origin();
    let mut pool = PagePool::default();
    let mut history = History::new(MediaKind::Video);
    for index in [5, 900, 3, 1_u64 << 50, (1 << 50) + 1_023, (1 << 50) + 1_024, u64::MAX - 1] {
        history.insert(&mut pool, index, stored(now, index), &[4]).unwrap();
        assert!(history.line.len() <= limits::HISTORY_VIDEO_PACKETS && history.contains(index));
    }
    assert!(!history.contains(900));
}

proptest! {
    #[test]
    fn nothing_is_found_that_was_not_kept(
        steps in vec((prop_oneof![9 => 0..4i64, 3 => -20..0i64, 1 => -200..200i64], 0..1_500usize, 0..50u64), 1..400),
        packets in prop_oneof![Just(16usize), Just(64)],
        pages in 1..5usize,
        pool_pages in 1..5usize,
    ) {
        let mut now = origin();
        let mut pool = PagePool::bounded(pool_pages, 0);
        let mut history = History::bounded(packets, pages);
        let mut model = Model { packets: packets as u64, kept: BTreeMap::new(), newest: None };
        let mut index = 1_000u64;
        for (step, length, wait) in steps {
            now += ms(wait);
            index = index.saturating_add_signed(step);
            let got = history.insert(&mut pool, index, stored(now, index), &payload(index, length));
            model.insert(&history, now, index, length, got)?;
            model.check(&history, now, pages.min(pool_pages))?;
            prop_assert!(history.line.len() <= packets && pool.in_use() <= pages.min(pool_pages));
        }
        history.clear(&mut pool);
        prop_assert_eq!(pool.in_use(), 0);
    }
}

/// Remembers every packet, and in which order they came.
struct Model {
    packets: u64,
    /// Length, number of insertion and time of arrival by index.
    kept: BTreeMap<u64, (usize, usize, Instant)>,
    newest: Option<u64>,
}

impl Model {
    fn insert(
        &mut self,
        history: &History,
        now: Instant,
        index: u64,
        length: usize,
        got: Result<(), DropReason>,
    ) -> Result<(), TestCaseError> {
        match got {
            Ok(()) => {
                let number = self.kept.len();
                let before = self.kept.insert(index, (length, number, now));
                prop_assert!(before.is_none(), "{} was there", index);
                prop_assert!(self.newest.is_none_or(|newest| index + self.packets > newest));
                self.newest = self.newest.max(Some(index));
            }
            Err(DropReason::Duplicate) => prop_assert!(self.kept.contains_key(&index)),
            Err(reason) => {
                prop_assert_eq!(reason, DropReason::TooOld);
                let behind = self.newest.is_some_and(|newest| index + self.packets <= newest);
                let gone = self.kept.range(index..).any(|(&later, _)| !history.contains(later));
                prop_assert!(behind || gone, "{} could be kept", index);
            }
        }
        Ok(())
    }

    /// What is found is right, and what must still be there is found.
    fn check(&self, history: &History, now: Instant, pages: usize) -> Result<(), TestCaseError> {
        // All pages but the one being written are full, but for less than a payload each.
        let room = (pages - 1) * (HISTORY_PAGE_BYTES - DATAGRAM_BYTES_MAX);
        for (&index, &(length, number, arrival)) in &self.kept {
            let since: usize =
                self.kept.values().filter(|other| other.1 >= number).map(|other| other.0).sum();
            let recent = self.newest.is_none_or(|newest| index + self.packets > newest);
            let young = now < arrival + limits::HISTORY_AGE;
            match history.get(index) {
                Some((packet, found)) => {
                    prop_assert_eq!(u64::from(packet.timestamp), index);
                    prop_assert_eq!(found, payload(index, length));
                }
                None => prop_assert!(!recent || !young || since > room, "{} is missing", index),
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
