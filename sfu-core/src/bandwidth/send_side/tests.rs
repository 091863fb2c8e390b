use proptest::prelude::*;

use super::*;
use crate::bandwidth::tests::origin;
use crate::decision::LimitedBy;
use crate::publish::twcc::TwccRecorder;

fn video(sequence: u16) -> Departure {
    Departure { ssrc: Ssrc(7), sequence, bytes: 1172, kind: SentKind::Video, probe: None }
}

/// Sends packets 10 ms apart from `start` on.
fn send(side: &mut SendSide, start: Instant, sequences: std::ops::Range<u16>) {
    for n in sequences {
        side.record(start + Duration::from_millis(10 * u64::from(n)), video(n));
    }
}

/// Feedback in which those that `arrived` says took 50 ms, and the others did not arrive.
fn report(
    recorder: &mut TwccRecorder,
    start: Instant,
    packets: std::ops::Range<u16>,
    arrived: impl Fn(u16) -> bool,
) -> Vec<u8> {
    let at = |n: u16| start + Duration::from_millis(50 + 10 * u64::from(n));
    for n in packets.clone().filter(|&n| arrived(n)) {
        recorder.on_packet(at(n), n);
    }
    let mut block = vec![];
    assert!(recorder.build(at(packets.end), Ssrc(1), Ssrc(7), &mut block));
    block
}

fn time(start: Instant, ms: u64) -> Instant {
    start + Duration::from_millis(ms)
}

#[test]
fn packets_are_numbered_in_the_order_in_which_they_leave() {
    let start = origin();
    let mut side = SendSide::new(start, BandwidthConfig::default());
    for n in 0..70_000u32 {
        assert_eq!(side.next_sequence(), n as u16);
        side.record(time(start, u64::from(n)), video(n as u16));
    }
}

#[test]
fn feedback_gives_rate_round_trip_and_loss() {
    let start = origin();
    let mut side = SendSide::new(start, BandwidthConfig::default());
    let mut recorder = TwccRecorder::default();
    assert_eq!(side.estimate().limited_by, LimitedBy::Start);
    for batch in 0..20u16 {
        send(&mut side, start, 10 * batch..10 * batch + 10);
        let block = report(&mut recorder, start, 10 * batch..10 * batch + 10, |n| n % 10 != 5);
        let heard = time(start, 100 * u64::from(batch) + 190);
        side.on_twcc(heard, &block).unwrap();
    }
    let estimate = side.estimate();
    assert!(estimate.acknowledged_bps.unwrap().abs_diff(864_000) < 20_000, "{estimate:?}");
    assert_eq!(estimate.rtt, Some(Duration::from_millis(100)));
    assert!((estimate.loss - 0.1).abs() < 0.02, "{estimate:?}");
    assert_eq!(side.unreported(), 0);
}

#[test]
fn what_a_receiver_skips_is_lost_unless_a_message_was() {
    let start = origin();
    for lose_one in [false, true] {
        let mut side = SendSide::new(start, BandwidthConfig::default());
        let mut recorder = TwccRecorder::default();
        send(&mut side, start, 0..60);
        let mut first = report(&mut recorder, start, 0..20, |_| true);
        let _ = report(&mut recorder, start, 20..40, |_| true);
        let mut third = report(&mut recorder, start, 40..60, |_| true);
        // The last byte of the fixed part is the number of the message.
        first[19] = 8;
        third[19] = if lose_one { 10 } else { 9 };
        side.on_twcc(time(start, 600), &first).unwrap();
        side.on_twcc(time(start, 700), &third).unwrap();
        let fates = (20..40).map(|n| {
            let index = side.record.index_of(n);
            side.record.get(index).unwrap().fate
        });
        let expected = if lose_one { Fate::InFlight } else { Fate::Lost };
        assert!(fates.into_iter().all(|fate| fate == expected));
        side.handle_timeout(time(start, 5000));
        assert_eq!(side.unreported(), if lose_one { 20 } else { 0 });
    }
}

#[test]
fn what_turns_up_late_is_not_lost() {
    let start = origin();
    let mut side = SendSide::new(start, BandwidthConfig::default());
    let mut recorder = TwccRecorder::default();
    send(&mut side, start, 0..60);
    let early = report(&mut recorder, start, 0..60, |n| n % 2 == 0);
    side.on_twcc(time(start, 700), &early).unwrap();
    assert!(side.estimate().loss > 0.4);
    let late = report(&mut recorder, start, 0..60, |n| n % 2 == 1);
    side.on_twcc(time(start, 750), &late).unwrap();
    assert!(
        (0..60).all(|n| side.record.get(side.record.index_of(n)).unwrap().fate == Fate::Arrived)
    );
    let again = side.estimate();
    side.on_twcc(time(start, 760), &late).unwrap();
    assert_eq!(side.estimate(), again, "nothing new");
}

#[test]
fn feedback_for_what_was_never_sent_changes_nothing() {
    let start = origin();
    let mut side = SendSide::new(start, BandwidthConfig::default());
    let mut recorder = TwccRecorder::default();
    let block = report(&mut recorder, start, 5..500, |n| n % 3 == 0);
    side.on_twcc(time(start, 10), &block).unwrap();
    send(&mut side, start, 0..3);
    let before = side.estimate();
    side.on_twcc(time(start, 100), &block).unwrap();
    assert_eq!(side.estimate(), before);
    assert_eq!(side.on_twcc(time(start, 100), &block[..20]), Err(DropReason::RtcpMalformed));
    assert_eq!(side.on_ccfb(time(start, 100), &block[..20]), Err(DropReason::RtcpMalformed));
}

#[test]
fn a_probe_that_comes_back_is_a_result() {
    let start = origin();
    let mut side = SendSide::new(start, BandwidthConfig::default());
    let mut recorder = TwccRecorder::default();
    assert_eq!(side.poll_probe(start), None);
    side.set_demand(start, 5_000_000, 0);
    assert_eq!(side.poll_timeout(), Some(start));
    let probe = side.poll_probe(start).unwrap();
    assert_eq!((probe.bitrate_bps, probe.why), (900_000, ProbeReason::Start));
    for n in 0..5 {
        // 1200 bytes in 10 ms.
        let departure = Departure { probe: Some(probe.id), ..video(n) };
        side.record(time(start, 10 * u64::from(n)), departure);
    }
    let block = report(&mut recorder, start, 0..5, |_| true);
    side.on_twcc(time(start, 150), &block).unwrap();
    assert_eq!((side.poll_probed(), side.poll_probed()), (Some(960_000), None));
    assert_eq!(side.estimate().target_bps, 960_000);
}

#[test]
fn a_route_change_keeps_half_and_probes() {
    let start = origin();
    let config = BandwidthConfig { start_bps: 1_000_000, ..BandwidthConfig::default() };
    let mut side = SendSide::new(start, config);
    side.set_demand(start, 5_000_000, 0);
    while side.poll_probe(start).is_some() {}
    side.on_route_change(time(start, 1000));
    assert_eq!(side.estimate().target_bps, 500_000);
    let probe = side.poll_probe(time(start, 1000)).unwrap();
    assert_eq!((probe.bitrate_bps, probe.why), (1_000_000, ProbeReason::Route));
}

#[test]
fn who_is_sent_nothing_after_a_queue_is_tried_again_soon() {
    let start = origin();
    let mut side = SendSide::new(start, BandwidthConfig::default());
    side.set_demand(start, 5_000_000, 500_000);
    let mut recorder = TwccRecorder::default();
    let mut heard = start;
    // A queue that grows by half of the time that passes.
    for batch in 0..8u16 {
        let packets = 10 * batch..10 * batch + 10;
        send(&mut side, start, packets.clone());
        for n in packets.clone() {
            recorder.on_packet(time(start, 50 + 15 * u64::from(n)), n);
        }
        heard = time(start, 60 + 15 * u64::from(packets.end));
        let mut block = vec![];
        assert!(recorder.build(heard, Ssrc(1), Ssrc(7), &mut block));
        side.on_twcc(heard, &block).unwrap();
        while side.poll_probe(heard).is_some() {}
    }
    assert!(side.estimator.is_congested(), "{:?}", side.queue_delay());
    // Paused: nothing is under way, and nothing will be heard.
    side.set_demand(heard, 5_000_000, 0);
    let (now, probe) = loop {
        let now = side.poll_timeout().expect("something is missed");
        side.handle_timeout(now);
        if let Some(probe) = side.poll_probe(now) {
            break (now, probe);
        }
    };
    assert!(now - heard <= STALE, "{:?}", now - heard);
    assert!(probe.bitrate_bps > side.estimate().target_bps);
}

/// Longer than anybody likes to look at a pause that nothing speaks for any more.
const STALE: Duration = Duration::from_secs(1);

/// What may happen to a sender, from any receiver.
#[derive(Clone, Debug)]
enum Happening {
    Send(u16, usize, bool),
    /// Bytes of a body behind a proper header, with a base near what was sent.
    Twcc(u16, Vec<u8>),
    Ccfb(u16, u16, Vec<u8>),
    Raw(Vec<u8>),
    Remb(u64),
    Demand(u64, u64),
    Route,
    Timeout,
}

fn happening() -> impl Strategy<Value = Happening> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..80);
    prop_oneof![
        6 => (1..60u16, 0..1500usize, any::<bool>()).prop_map(|(n, b, p)| Happening::Send(n, b, p)),
        4 => (0..200u16, bytes()).prop_map(|(back, bytes)| Happening::Twcc(back, bytes)),
        4 => (0..200u16, 0..40u16, bytes()).prop_map(|(b, n, bytes)| Happening::Ccfb(b, n, bytes)),
        1 => bytes().prop_map(Happening::Raw),
        1 => any::<u64>().prop_map(Happening::Remb),
        2 => (any::<u64>(), any::<u64>()).prop_map(|(w, a)| Happening::Demand(w >> 30, a >> 30)),
        1 => Just(Happening::Route),
        2 => Just(Happening::Timeout),
    ]
}

/// An RTCP block with this body, cut to words.
fn block(format: u8, mut body: Vec<u8>) -> Vec<u8> {
    body.resize(body.len().next_multiple_of(4), 0);
    let mut block = vec![0x80 | format, 205];
    block.extend(((body.len() / 4) as u16).to_be_bytes());
    block.extend(body);
    block
}

proptest! {
    #[test]
    fn whatever_a_receiver_says_the_target_stays_in_bounds(
        happenings in prop::collection::vec((happening(), 0..400u64), 1..150),
    ) {
        let start = origin();
        let config = BandwidthConfig::default();
        let mut side = SendSide::new(start, config);
        let (mut now, mut probe) = (start, None);
        for (happening, ms) in happenings {
            now += Duration::from_millis(ms);
            match happening {
                Happening::Send(packets, bytes, in_probe) => for _ in 0..packets {
                    let sequence = side.next_sequence();
                    let probe = probe.filter(|_| in_probe);
                    side.record(now, Departure { bytes, probe, ..video(sequence) });
                },
                Happening::Twcc(back, bytes) => {
                    let mut body = vec![0; 8];
                    body.extend(side.next_sequence().wrapping_sub(back).to_be_bytes());
                    body.extend(bytes);
                    let _ = side.on_twcc(now, &block(15, body));
                }
                Happening::Ccfb(back, count, bytes) => {
                    let mut body = vec![0, 0, 0, 1, 0, 0, 0, 7];
                    body.extend(side.next_sequence().wrapping_sub(back).to_be_bytes());
                    body.extend(count.to_be_bytes());
                    let mut metrics = bytes;
                    metrics.resize(usize::from(count.next_multiple_of(2)) * 2 + 4, 0x80);
                    body.extend(metrics);
                    prop_assert!(side.on_ccfb(now, &block(11, body)).is_ok());
                }
                Happening::Raw(bytes) => {
                    let _ = side.on_twcc(now, &bytes);
                    let _ = side.on_ccfb(now, &bytes);
                }
                Happening::Remb(bps) => side.on_remb(now, bps),
                Happening::Demand(wanted, allocated) => side.set_demand(now, wanted, allocated),
                Happening::Route => side.on_route_change(now),
                Happening::Timeout => side.handle_timeout(now),
            }
            if let Some(next) = side.poll_probe(now) {
                prop_assert!(next.bitrate_bps <= config.max_bps && next.bitrate_bps > 0);
                probe = Some(next.id);
            }
            let estimate = side.estimate();
            prop_assert!((config.min_bps..=config.max_bps).contains(&estimate.target_bps));
            prop_assert!(estimate.loss >= 0.0 && estimate.loss <= 1.0);
            while let Some(bps) = side.poll_probed() {
                prop_assert!(bps > 0);
            }
            // Time that is asked for comes to an end.
            for _ in 0..20 {
                if side.poll_timeout().is_none_or(|due| due > now) {
                    break;
                }
                side.handle_timeout(now);
                let _ = side.poll_probe(now);
            }
            prop_assert!(side.poll_timeout().is_none_or(|due| due > now), "a busy loop");
        }
    }
}
