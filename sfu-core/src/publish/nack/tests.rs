//! When a missing packet is asked for, and when it is given up.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::publish::test_clock::{ms, origin};

const RTT: Duration = Duration::from_millis(50);

#[test]
fn a_missing_packet_is_asked_for_after_a_short_wait_and_then_every_round_trip() {
    let start = origin();
    let mut nack = received(start, &[10, 12]);
    assert_eq!(nack.next_timeout(), Some(start + ms(5)));
    assert_eq!(poll(&mut nack, start + ms(4), RTT), (vec![], false));
    assert_eq!(poll(&mut nack, start + ms(5), RTT), (vec![11], false));
    assert_eq!(nack.next_timeout(), Some(start + ms(55)));
    assert_eq!(poll(&mut nack, start + ms(54), RTT), (vec![], false));
    assert_eq!(poll(&mut nack, start + ms(55), ms(1)), (vec![11], false));
    assert_eq!(nack.next_timeout(), Some(start + ms(75)), "no sooner than 20 ms");
    assert_eq!(nack.on_packet(start + ms(60), 11), NackVerdict::Recovered);
    assert_eq!(poll(&mut nack, start + ms(75), RTT), (vec![], false));
    assert_eq!(nack.next_timeout(), None);
}

#[test]
fn reordering_by_two_is_not_loss_and_by_three_is() {
    let start = origin();
    let mut nack = received(start, &[10, 12, 13]);
    assert_eq!(poll(&mut nack, start, RTT), (vec![], false));
    let mut back_in_time = received(start, &[10, 12, 13, 11]);
    assert_eq!(poll(&mut back_in_time, start + ms(100), RTT), (vec![], false));
    nack.on_packet(start + ms(1), 14);
    assert_eq!(nack.next_timeout(), Some(start + ms(1)));
    assert_eq!(poll(&mut nack, start + ms(1), RTT), (vec![11], false));
}

#[test]
fn a_burst_is_asked_for_at_once_but_for_its_end() {
    let start = origin();
    let mut nack = received(start, &[10, 20]);
    assert_eq!(poll(&mut nack, start, RTT), ((11..=17).collect(), false));
    assert_eq!(nack.next_timeout(), Some(start + ms(20)), "one NACK in 20 ms");
    assert_eq!(poll(&mut nack, start + ms(20), RTT), (vec![18, 19], false));
}

#[test]
fn sequence_numbers_wrap_on_their_way_out() {
    let start = origin();
    let mut nack = received(start, &[0x2_fffe, 0x3_0002]);
    assert_eq!(poll(&mut nack, start + ms(5), RTT), (vec![0xffff, 0, 1], false));
}

#[test]
fn verdicts_follow_the_line() {
    let now = origin();
    let mut nack = NackGenerator::default();
    let jump = limits::SEQUENCE_JUMP_MAX;
    let steps = [
        (5_000, NackVerdict::InOrder),
        (5_000, NackVerdict::Duplicate),
        (5_002, NackVerdict::InOrder),
        (5_001, NackVerdict::Recovered),
        (5_001, NackVerdict::Duplicate),
        (4_999, NackVerdict::Recovered),
        (4_999, NackVerdict::Duplicate),
        (5_002 - 1_023, NackVerdict::Recovered),
        (5_002 - 1_024, NackVerdict::Duplicate),
        (5_002 + jump, NackVerdict::InOrder),
        (5_002 + 2 * jump + 1, NackVerdict::Restart),
        (5_002 + 2 * jump + 1, NackVerdict::Duplicate),
        (5_002 + 2 * jump + 2, NackVerdict::InOrder),
    ];
    for (step, (index, verdict)) in steps.into_iter().enumerate() {
        assert_eq!(nack.on_packet(now, index), verdict, "step {step}");
    }
}

#[test]
fn a_source_that_goes_on_far_behind_is_believed_at_its_second_packet() {
    let now = origin();
    let mut nack = received(now, &[50_000, 50_001]);
    let steps = [
        (24_000, NackVerdict::Duplicate),
        (50_002, NackVerdict::InOrder),
        (24_002, NackVerdict::Duplicate),
        (24_003, NackVerdict::Restart),
    ];
    for (index, verdict) in steps {
        assert_eq!(nack.on_packet(now, index), verdict, "{index}");
    }
}

#[test]
fn a_given_up_packet_is_still_not_a_duplicate() {
    let start = origin();
    let mut nack = received(start, &[10, 12]);
    poll(&mut nack, start + limits::NACK_AGE_MAX, RTT);
    assert_eq!(nack.outstanding(), 0);
    assert_eq!(nack.on_packet(start + ms(4_000), 11), NackVerdict::Recovered);
}

#[test]
fn a_packet_is_given_up_after_its_tries() {
    let start = origin();
    let mut nack = received(start, &[10, 12]);
    let mut tries = 0;
    let mut gave_up = None;
    while let Some(at) = nack.next_timeout() {
        let (asked, given_up) = poll(&mut nack, at, RTT);
        tries += asked.len();
        if given_up {
            gave_up = Some(at - start);
        }
    }
    assert_eq!(tries, usize::from(limits::NACK_TRIES_MAX));
    assert_eq!(gave_up, Some(ms(5) + RTT * u32::from(limits::NACK_TRIES_MAX)));
}

#[test]
fn a_packet_is_given_up_at_its_age() {
    let start = origin();
    let mut nack = received(start, &[10, 12]);
    let mut last = start;
    while let Some(at) = nack.next_timeout() {
        last = at;
        poll(&mut nack, at, ms(1_700));
    }
    assert_eq!(last, start + limits::NACK_AGE_MAX);
}

#[test]
fn too_much_to_ask_for_is_given_up_at_once() {
    let start = origin();
    let most = limits::NACK_OUTSTANDING_MAX as u64;
    let mut nack = received(start, &[1_000, 1_001 + most]);
    assert_eq!(nack.outstanding(), limits::NACK_OUTSTANDING_MAX);
    assert!(!poll(&mut nack, start + ms(5), RTT).1);
    nack.on_packet(start + ms(6), 1_003 + most);
    assert_eq!(nack.outstanding(), 0);
    assert_eq!(nack.next_timeout(), Some(start + ms(6)));
    assert_eq!(poll(&mut nack, start + ms(6), RTT), (vec![], true));
    assert_eq!(poll(&mut nack, start + ms(6), RTT), (vec![], false), "told once");
    assert_eq!(nack.next_timeout(), None);
}

#[test]
fn giving_up_does_not_hurry_the_next_nack() {
    let start = origin();
    let mut nack = received(start, &[1_000, 1_010]);
    assert_eq!(poll(&mut nack, start, RTT).0.len(), 7);
    for index in [1_400, 1_402, 1_403, 1_404, 1_405] {
        nack.on_packet(start + ms(1), index);
    }
    assert_eq!(poll(&mut nack, start + ms(1), RTT), (vec![], true));
    assert_eq!(nack.next_timeout(), Some(start + ms(20)));
    assert_eq!(poll(&mut nack, start + ms(20), RTT), (vec![1_401], false));
}

#[test]
fn what_came_before_a_keyframe_is_neither_asked_for_nor_given_up() {
    let start = origin();
    let mut nack = received(start, &[10, 12, 14]);
    nack.forget_before(13);
    assert_eq!(nack.outstanding(), 1);
    assert_eq!(poll(&mut nack, start + ms(5), RTT), (vec![13], false));
    nack.forget_before(14);
    assert_eq!(poll(&mut nack, start + limits::NACK_AGE_MAX, RTT), (vec![], false));
    assert_eq!(nack.next_timeout(), None);
}

#[test]
fn a_publisher_that_jumps_to_and_fro_causes_no_nacks() {
    let start = origin();
    let mut nack = NackGenerator::default();
    for step in 0..1_000u64 {
        let now = start + ms(step);
        let index = 100_000 + step / 2 + 20_000 * (step % 2);
        nack.on_packet(now, index);
        assert_eq!(nack.outstanding(), 0, "step {step}");
    }
    let mut once = received(start, &[100_000, 130_000]);
    assert_eq!(once.outstanding(), 0);
    assert_eq!(poll(&mut once, start + ms(100), RTT), (vec![], false));
}

proptest! {
    /// R6: whatever is received, the bounds hold, and nothing is asked for that is here.
    #[test]
    fn requests_stay_within_their_bounds(
        steps in proptest::collection::vec(
            (prop_oneof![20 => 1..4i64, 4 => -30..0i64, 1 => -2_000..3_000i64], 0..30u64, any::<bool>()),
            1..600,
        ),
        rtt in 0..400u64,
    ) {
        let mut now = origin();
        let mut nack = NackGenerator::default();
        let mut index = 200_000u64;
        let mut here = BTreeSet::new();
        let mut asked_at = BTreeMap::<u16, Vec<Instant>>::new();
        let mut last_message = None;
        for (step, wait, arrives) in steps {
            now += ms(wait);
            index = index.saturating_add_signed(step);
            if arrives {
                nack.on_packet(now, index);
                here.insert(index as u16);
            }
            prop_assert!(nack.outstanding() <= limits::NACK_OUTSTANDING_MAX);
            let (asked, _) = poll(&mut nack, now, ms(rtt));
            prop_assert!(nack.next_timeout().is_none_or(|at| at > now), "it would spin");
            if asked.is_empty() {
                continue;
            }
            prop_assert!(last_message.is_none_or(|last| now - last >= INTERVAL_MIN));
            last_message = Some(now);
            for sequence in asked {
                prop_assert!(!here.contains(&sequence));
                let times = asked_at.entry(sequence).or_default();
                let again = times.last().is_none_or(|&last| now - last >= ms(rtt.max(20)));
                prop_assert!(again);
                times.push(now);
                prop_assert!(times.len() <= usize::from(limits::NACK_TRIES_MAX));
            }
        }
    }
}

fn received(now: Instant, indices: &[u64]) -> NackGenerator {
    let mut nack = NackGenerator::default();
    for &index in indices {
        nack.on_packet(now, index);
    }
    nack
}

fn poll(nack: &mut NackGenerator, now: Instant, rtt: Duration) -> (Vec<u16>, bool) {
    let mut out = vec![];
    let given_up = nack.poll(now, rtt, &mut out);
    (out, given_up)
}
