use proptest::prelude::*;

use super::*;
use crate::bandwidth::tests::origin;

fn departure(ssrc: u32, sequence: u16) -> Departure {
    let ssrc = Ssrc(ssrc);
    Departure { ssrc, sequence, bytes: 1000, kind: SentKind::Video, probe: None }
}

#[test]
fn a_packet_is_found_by_either_number() {
    let start = origin();
    let mut record = SendRecord::new(start);
    let mut indices = vec![];
    for n in 0..100u16 {
        let at = start + Duration::from_micros(1234 * u64::from(n));
        indices.push(record.push(at, &departure(7 + u32::from(n % 3), 65_500u16.wrapping_add(n))));
    }
    for (n, &index) in (0..100u16).zip(&indices) {
        assert_eq!(record.index_of(index as u16), index);
        let ssrc = Ssrc(7 + u32::from(n % 3));
        assert_eq!(record.find(ssrc, 65_500u16.wrapping_add(n)), Some(index));
        let sent = record.get(index).unwrap();
        assert_eq!((sent.index, sent.ssrc, sent.bytes), (index, ssrc, 1028));
        assert_eq!(sent.departure, Duration::from_micros(1234 * u64::from(n)));
    }
    assert_eq!(record.find(Ssrc(7), 65_501), None, "sent with another SSRC");
    assert_eq!(record.find(Ssrc(99), 65_500), None);
    assert_eq!(record.get(record.next_index()), None);
}

#[test]
fn a_fate_is_news_once_and_only_for_the_better() {
    let start = origin();
    let mut record = SendRecord::new(start);
    let index = record.push(start, &departure(1, 1));
    assert_eq!(record.in_flight_packets(), 1);
    let lost = record.settle(index, false).unwrap();
    assert_eq!((lost.sent.fate, lost.before), (Fate::Lost, Fate::InFlight));
    assert_eq!(record.settle(index, false), None);
    let late = record.settle(index, true).unwrap();
    assert_eq!((late.sent.fate, late.before), (Fate::Arrived, Fate::Lost));
    assert_eq!(record.settle(index, true), None);
    assert_eq!(record.settle(index, false), None);
    assert_eq!(record.in_flight_packets(), 0);
}

#[test]
fn what_is_never_reported_is_given_up_and_may_still_turn_up() {
    let start = origin();
    let mut record = SendRecord::new(start);
    let first = record.push(start, &departure(1, 1));
    let second = record.push(start + limits::SENT_AGE_MAX / 2, &departure(1, 2));
    assert_eq!(record.oldest_in_flight(), Some(start));
    record.prune(start + limits::SENT_AGE_MAX - Duration::from_millis(1));
    assert_eq!(record.unreported(), 0);
    record.prune(start + limits::SENT_AGE_MAX);
    assert_eq!((record.unreported(), record.in_flight_packets()), (1, 1));
    assert_eq!(record.oldest_in_flight(), Some(start + limits::SENT_AGE_MAX / 2));
    assert_eq!(record.settle(first, true).unwrap().before, Fate::Unreported);
    record.settle(second, true);
    assert_eq!((record.oldest_in_flight(), record.in_flight_packets()), (None, 0));
}

#[test]
fn it_grows_with_what_is_in_flight_and_no_further() {
    let start = origin();
    let mut record = SendRecord::new(start);
    for n in 0..3 * limits::SENT_PACKETS_MAX {
        let at = start + Duration::from_micros(10 * n as u64);
        let index = record.push(at, &departure(5, n as u16));
        assert!(record.ring.len() <= limits::SENT_PACKETS_MAX);
        if n == limits::SENT_PACKETS_MIN + 1 {
            let first = record.index_of(SEQUENCE_BASE as u16);
            assert_eq!(record.find(Ssrc(5), 0), Some(first), "moved along as it grew");
        }
        assert_eq!(record.find(Ssrc(5), n as u16), Some(index));
    }
    assert_eq!(record.in_flight_packets(), limits::SENT_PACKETS_MAX);
    assert_eq!(record.unreported(), 2 * limits::SENT_PACKETS_MAX as u64);
    assert_eq!(record.next_index() - record.oldest_index(), limits::SENT_PACKETS_MAX as u64);

    let mut steady = SendRecord::new(start);
    for n in 0..100_000u64 {
        let index = steady.push(start + Duration::from_millis(n), &departure(5, n as u16));
        if n >= 100 {
            steady.settle(index - 100, true);
        }
    }
    assert_eq!(steady.ring.len(), limits::SENT_PACKETS_MIN);
}

#[test]
fn sizes_beyond_a_datagram_are_cut_and_nothing_is_found_before_anything_is_sent() {
    let start = origin();
    let mut record = SendRecord::new(start);
    assert_eq!(record.find(Ssrc(0), 0), None);
    assert_eq!(record.get(record.index_of(77)), None);
    assert_eq!(record.settle(record.index_of(0), true), None);
    let index = record.push(start, &Departure { bytes: usize::MAX, ..departure(1, 1) });
    assert_eq!(record.get(index).unwrap().bytes, u16::MAX);
}

proptest! {
    /// Against a plain list of everything that was ever sent.
    #[test]
    fn the_record_agrees_with_a_list(
        steps in proptest::collection::vec((0..4u8, 0..5u32, 0..700u64, any::<bool>()), 1..1500),
    ) {
        let start = origin();
        let mut record = SendRecord::new(start);
        let mut list: Vec<(u64, u32, u16, Fate)> = vec![];
        let mut next = [0u16; 5];
        let mut now = start;
        for (what, source, back, arrived) in steps {
            now += Duration::from_micros(500);
            if what > 0 {
                let sequence = next[source as usize];
                next[source as usize] = sequence.wrapping_add(1);
                let index = record.push(now, &departure(source, sequence));
                list.push((index, source, sequence, Fate::InFlight));
            } else if let Some(at) = (list.len() as u64).checked_sub(back + 1) {
                let (index, source, sequence, fate) = &mut list[at as usize];
                if let Some(found) = record.find(Ssrc(*source), *sequence) {
                    prop_assert_eq!(found, *index);
                    prop_assert_eq!(record.index_of(*index as u16), *index);
                    let news = record.settle(*index, arrived);
                    let changes =
                        matches!((*fate, arrived), (Fate::InFlight, _) | (Fate::Lost, true));
                    prop_assert_eq!(news.is_some(), changes);
                    if changes {
                        *fate = if arrived { Fate::Arrived } else { Fate::Lost };
                    }
                } else {
                    prop_assert_eq!(record.get(*index), None);
                    prop_assert!(*fate != Fate::InFlight);
                }
            }
            let oldest = record.oldest_index();
            let in_flight = list.iter().filter(|p| p.0 >= oldest && p.3 == Fate::InFlight).count();
            prop_assert_eq!(record.in_flight_packets(), in_flight);
        }
    }
}
