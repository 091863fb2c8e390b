//! The feedback as two other decoders read it: the `rtcp` crate, and the conversion that a sender's
//! estimator is fed by.

use std::collections::BTreeMap;
use std::time::Duration;

use interceptor::convert_twcc;
use proptest::collection::vec;
use proptest::prelude::*;
use rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use shared::marshal::Unmarshal;

use super::*;
use crate::publish::test_clock::{ms, origin};
use crate::rtp::rtcp::{Rtcp, parse};

#[test]
fn arrivals_and_losses_are_reported_once() {
    let start = origin();
    let mut recorder = TwccRecorder::default();
    for (sequence, milliseconds) in [(65_534, 0), (65_535, 1), (1, 300), (2, 290)] {
        recorder.on_packet(start + ms(milliseconds), sequence);
    }
    let message = build(&mut recorder, start + ms(300)).unwrap();
    assert_eq!((message.sender_ssrc, message.media_ssrc), (1, 2));
    assert_eq!((message.base_sequence_number, message.packet_status_count), (65_534, 5));
    assert_eq!((message.reference_time, message.fb_pkt_count), (0, 0));
    let told =
        [(65_534, Some(0)), (65_535, Some(4)), (0, None), (1, Some(1_200)), (2, Some(1_160))];
    assert_eq!(statuses(&message), told);
    assert!(build(&mut recorder, start + ms(300)).is_none());
}

#[test]
fn feedback_is_due_an_interval_after_the_first_packet_and_then_after_the_last_feedback() {
    let start = origin();
    let mut recorder = TwccRecorder::default();
    assert_eq!(recorder.next_timeout(), None);
    recorder.on_packet(start, 1);
    recorder.on_packet(start + ms(30), 2);
    assert_eq!(recorder.next_timeout(), Some(start + limits::TWCC_INTERVAL));
    assert!(!recorder.is_due(start + ms(99)) && recorder.is_due(start + ms(100)));
    while build(&mut recorder, start + ms(100)).is_some() {}
    assert_eq!(recorder.next_timeout(), None, "nothing to report, nothing due");
    recorder.on_packet(start + ms(110), 3);
    assert_eq!(recorder.next_timeout(), Some(start + ms(200)));
}

#[test]
fn a_late_packet_is_reported_again_with_what_followed_it() {
    let start = origin();
    let mut recorder = TwccRecorder::default();
    recorder.on_packet(start, 10);
    recorder.on_packet(start + ms(1), 12);
    build(&mut recorder, start + ms(100)).unwrap();
    recorder.on_packet(start + ms(120), 11);
    recorder.on_packet(start + ms(121), 12);
    let message = build(&mut recorder, start + ms(200)).unwrap();
    assert_eq!(statuses(&message), [(11, Some(480)), (12, Some(4))]);
    assert_eq!(message.fb_pkt_count, 1);
}

#[test]
fn a_pause_too_long_for_a_delta_begins_another_message() {
    let start = origin();
    let mut recorder = TwccRecorder::default();
    recorder.on_packet(start, 1);
    recorder.on_packet(start + ms(8_191), 2);
    recorder.on_packet(start + ms(8_191 + 8_192), 3);
    let first = build(&mut recorder, start + ms(20_000)).unwrap();
    assert_eq!(statuses(&first), [(1, Some(0)), (2, Some(8_191 * 4))]);
    assert!(recorder.is_due(start + ms(20_000)), "there is more to say");
    let second = build(&mut recorder, start + ms(20_000)).unwrap();
    assert_eq!(statuses(&second), [(3, Some(16_383 * 4))]);
}

#[test]
fn the_reference_time_and_the_feedback_count_wrap() {
    let start = origin();
    let mut recorder = TwccRecorder::default();
    recorder.on_packet(start, 0);
    let turn = ms(64) * (1 << 24);
    for message in 0..300u64 {
        let built = build(&mut recorder, start + turn).unwrap();
        assert_eq!(u64::from(built.fb_pkt_count), message % 256);
        let ticks = [0, (1 << 24) - 1, 0, 1][message.min(3) as usize];
        assert_eq!(built.reference_time, ticks, "message {message}");
        let next = [turn - ms(1), turn + ms(63), turn + ms(64)][message.min(2) as usize];
        recorder.on_packet(start + next, message as u16 + 1);
    }
}

#[test]
fn a_jump_of_any_size_reports_no_more_than_the_window() {
    let start = origin();
    for jump in [2_046, 2_047, 2_048, 5_000, 32_767] {
        let mut recorder = TwccRecorder::default();
        recorder.on_packet(start, 100);
        recorder.on_packet(start, 100 + jump);
        let mut reported = vec![];
        while let Some(message) = build(&mut recorder, start) {
            reported.extend(statuses(&message));
        }
        assert_eq!(reported.len(), limits::TWCC_PACKETS_MAX.min(usize::from(jump) + 1));
        assert_eq!(reported.last(), Some(&(100 + jump, Some(0))));
        let received = reported.iter().filter(|status| status.1.is_some()).count();
        assert_eq!(received, if jump < 2_048 { 2 } else { 1 }, "jump {jump}");
    }
}

#[test]
fn chunks_are_as_few_as_they_can_be() {
    use symbol::{LARGE_DELTA as L, NOT_RECEIVED as N, SMALL_DELTA as S};
    let table: [(&[u8], &[u16]); 8] = [
        (&[S], &[0x2001]),
        (&[S; 8_192], &[0x3fff, 0x2001]),
        (&[N, S], &[0x8000 | 1 << 12]),
        (&[S, L], &[0xc000 | 1 << 12 | 2 << 10]),
        (&[L, L, L, L, L, L, L, S], &[0x4007, 0x2001]),
        (&[S, N, S, N, S, N, S, N, S, N, S, N, S, N], &[0x8000 | 0x2aaa]),
        (&[S, S, S, S, S, S, S, S, L], &[0x2008, 0x4001]),
        (&[], &[]),
    ];
    for (symbols, want) in table {
        let mut out = vec![];
        write_chunks(&mut out, symbols);
        let got: Vec<u16> =
            out.chunks(2).map(|chunk| u16::from_be_bytes([chunk[0], chunk[1]])).collect();
        assert_eq!(got, want, "{} symbols", symbols.len());
    }
}

proptest! {
    #[test]
    fn every_arrival_is_decoded_as_it_was(
        start_sequence: u16,
        steps in vec(
            (
                prop_oneof![30 => 1..3i64, 3 => -5..0i64, 1 => 0..60i64],
                prop_oneof![30 => 0..3_000u64, 5 => 0..80_000u64, 1 => 0..20_000_000u64],
                prop::bool::weighted(0.02),
            ),
            1..1_500,
        ),
    ) {
        let mut recorder = TwccRecorder::default();
        let mut now = origin();
        let mut first = None;
        let mut index = 1_000_000 + i64::from(start_sequence);
        let mut arrived = BTreeMap::new();
        let mut reported = BTreeMap::new();
        for (step, microseconds, report) in steps {
            now += Duration::from_micros(microseconds);
            index += step;
            recorder.on_packet(now, index as u16);
            let first = *first.get_or_insert(now);
            arrived.entry(index as u16).or_insert((now - first).as_micros() as u64 / 250);
            if report {
                collect(&mut recorder, now, &mut reported)?;
            }
        }
        collect(&mut recorder, now, &mut reported)?;
        prop_assert_eq!(reported, arrived);
    }
}

/// Builds until there is nothing left, and notes each received packet by sequence number.
fn collect(
    recorder: &mut TwccRecorder,
    now: Instant,
    reported: &mut BTreeMap<u16, u64>,
) -> Result<(), TestCaseError> {
    while let Some(message) = build(recorder, now) {
        for (sequence, ticks) in statuses(&message) {
            if let Some(ticks) = ticks {
                let known = *reported.entry(sequence).or_insert(ticks);
                prop_assert_eq!(known, ticks);
            }
        }
    }
    Ok(())
}

/// One message, read by our own parser and by the `rtcp` crate.
fn build(recorder: &mut TwccRecorder, now: Instant) -> Option<TransportLayerCc> {
    let mut out = vec![0xee];
    if !recorder.build(now, Ssrc(1), Ssrc(2), &mut out) {
        assert_eq!(out, [0xee]);
        return None;
    }
    let message = &out[1..];
    assert!(message.len() <= MESSAGE_BYTES_MAX && message.len().is_multiple_of(4));
    parse(message, &mut |said| assert_eq!(said, Rtcp::Twcc(message))).unwrap();
    Some(TransportLayerCc::unmarshal(&mut &message[..]).unwrap())
}

/// Sequence number and arrival in ticks of each status of a message.
fn statuses(message: &TransportLayerCc) -> Vec<(u16, Option<u64>)> {
    let mut acknowledgements = convert_twcc(message);
    // The last vector may be longer than the message: its rest is none.
    acknowledgements.truncate(usize::from(message.packet_status_count));
    acknowledgements
        .into_iter()
        .map(|a| (a.sequence_number, a.arrival.map(|at| at.as_micros() as u64 / 250)))
        .collect()
}
