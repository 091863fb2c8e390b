//! Pages and their pool, from plenty to none left.

use std::collections::HashSet;

use super::*;
use crate::limits::{
    DATAGRAM_BYTES_MAX, HISTORY_AGE, HISTORY_PAGE_BYTES, HISTORY_PAGES_FEW, HISTORY_PAGES_SPARE,
};
use crate::publish::test_clock::{ms, origin};

/// Fills a page but for less than a byte.
fn whole_page(pages: &mut Pages, pool: &mut PagePool, now: Instant) -> Result<Place, DropReason> {
    pages.append(pool, now, &[7; HISTORY_PAGE_BYTES])
}

#[test]
fn a_payload_is_in_one_piece_and_pages_come_as_needed() {
    let now = origin();
    let mut pool = PagePool::default();
    let mut pages = Pages::new(50);
    let per_page = HISTORY_PAGE_BYTES / DATAGRAM_BYTES_MAX;
    let mut places = Vec::new();
    for number in 0..50 * per_page {
        let payload = vec![number as u8; DATAGRAM_BYTES_MAX];
        places.push(pages.append(&mut pool, now, &payload).unwrap());
        assert_eq!(pool.in_use(), number / per_page + 1);
        for (number, &place) in places.iter().enumerate() {
            assert_eq!(pages.get(place), Some(&vec![number as u8; DATAGRAM_BYTES_MAX][..]));
        }
    }
    let rest = HISTORY_PAGE_BYTES % DATAGRAM_BYTES_MAX;
    pages.append(&mut pool, now, &vec![1; rest]).unwrap();
    assert!(pages.get(places[0]).is_some(), "what fits needs no other page");
    pages.append(&mut pool, now, &[1]).unwrap();
    assert!(pages.get(places[per_page - 1]).is_none(), "its page was overwritten");
    assert!(pages.get(places[per_page]).is_some(), "the next one was not");
    assert_eq!((pool.in_use(), pool.refused()), (50, 0));
}

#[test]
fn an_exhausted_pool_leaves_everyone_what_they_have() {
    let now = origin();
    let mut pool = PagePool::bounded(3, 0);
    let (mut many, mut none) = (Pages::new(96), Pages::new(96));
    let places: Vec<_> = (0..5).map(|_| whole_page(&mut many, &mut pool, now).unwrap()).collect();
    let found: Vec<_> = places.iter().map(|&place| many.get(place).is_some()).collect();
    assert_eq!(found, [false, false, true, true, true], "the oldest made room");
    assert_eq!(none.append(&mut pool, now, &[1]).unwrap_err(), DropReason::HistoryFull);
    assert_eq!((pool.in_use(), pool.refused()), (3, 3));

    many.clear(&mut pool);
    assert_eq!(pool.in_use(), 0);
    assert!(places.iter().all(|&place| many.get(place).is_none()));
    none.append(&mut pool, now, &[1]).unwrap();
    assert_eq!((pool.in_use(), pool.refused()), (1, 3));
}

#[test]
fn those_that_hold_many_leave_some_to_the_others() {
    let now = origin();
    let most = HISTORY_PAGES_FEW + 10;
    let mut pool = PagePool::bounded(most, 3);
    let (mut many, mut late) = (Pages::new(96), Pages::new(96));
    for _ in 0..100 {
        whole_page(&mut many, &mut pool, now).unwrap();
    }
    assert_eq!(pool.in_use(), most - 3);
    for _ in 0..100 {
        whole_page(&mut late, &mut pool, now).unwrap();
    }
    assert_eq!((many.pages.len(), late.pages.len()), (most - 3, 3));
}

#[test]
fn what_is_old_is_handed_back_but_for_the_last_page() {
    let now = origin();
    let mut pool = PagePool::default();
    let mut pages = Pages::new(96);
    let places: Vec<_> = (0..4)
        .map(|part| whole_page(&mut pages, &mut pool, now + ms(900 * part)).unwrap())
        .collect();
    for (after, left) in [(2_999, 4), (3_000, 3), (4_799, 2), (5_700, 1), (1_000_000, 1)] {
        pages.expire(&mut pool, now + ms(after));
        assert_eq!((pages.pages.len(), pool.in_use()), (left, left), "after {after} ms");
    }
    assert!(pages.get(places[3]).is_some() && pages.get(places[2]).is_none());
    // The last page counts as old only once it is not the last any more.
    let next = whole_page(&mut pages, &mut pool, now + ms(1_000_000)).unwrap();
    assert!(pages.get(places[3]).is_some() && pages.get(next).is_some());
    whole_page(&mut pages, &mut pool, now + ms(1_000_000)).unwrap();
    assert!(pages.get(places[3]).is_none() && pages.get(next).is_some());
}

#[test]
fn a_steady_flow_goes_round_the_same_pages() {
    let start = origin();
    let mut pool = PagePool::default();
    let mut pages = Pages::new(96);
    let mut seen = HashSet::new();
    let per_page = HISTORY_PAGE_BYTES / 1_000;
    // 1 Mbit/s for a minute.
    for packet in 0..125 * 60 {
        let now = start + ms(8 * packet);
        pages.append(&mut pool, now, &[1; 1_000]).unwrap();
        seen.extend(pages.pages.iter().map(|page| page.bytes.as_ptr()));
    }
    // What comes in HISTORY_AGE, the page being written, and the one that has just become old.
    let expected = HISTORY_AGE.as_millis() as usize / 8 / per_page + 2;
    assert!(seen.len().abs_diff(expected) <= 1, "{} pages, not {expected}", seen.len());
}

#[test]
fn a_peak_is_not_kept_and_a_few_pages_are() {
    let now = origin();
    let mut pool = PagePool::default();
    let mut peak: Vec<_> = (0..10).map(|_| Pages::new(96)).collect();
    for pages in &mut peak {
        for _ in 0..96 {
            whole_page(pages, &mut pool, now).unwrap();
        }
    }
    assert_eq!((pool.in_use(), pool.free.len()), (960, 0));
    for pages in &mut peak[..5] {
        pages.clear(&mut pool);
    }
    assert_eq!((pool.in_use(), pool.free.len()), (480, 480));
    for pages in &mut peak[5..] {
        pages.clear(&mut pool);
    }
    assert_eq!((pool.in_use(), pool.free.len()), (0, HISTORY_PAGES_SPARE));
}

#[test]
fn page_numbers_wrap() {
    let now = origin();
    let mut pool = PagePool::default();
    let mut pages = Pages::new(3);
    pages.first = u32::MAX - 1;
    let places: Vec<_> = (0..9).map(|_| whole_page(&mut pages, &mut pool, now).unwrap()).collect();
    let found = places.iter().filter(|&&place| pages.get(place).is_some()).count();
    assert_eq!(found, 3);
    assert!(places[6..].iter().all(|&place| pages.get(place).is_some()));
}
