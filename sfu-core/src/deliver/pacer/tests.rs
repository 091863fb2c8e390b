use super::*;
use crate::publish::test_clock::{ms, origin};

type Paced = Pacer<u32, u8>;

fn pacer(now: Instant, estimate_bps: u64) -> Paced {
    let mut pacer = Pacer::new(PacerConfig { factor_percent: 100, burst: ms(5) });
    pacer.set_estimate(now, Some(estimate_bps));
    pacer
}

/// Everything that leaves within `span`, as (millisecond, item).
fn run(pacer: &mut Paced, start: Instant, span: Duration) -> Vec<(u128, u32)> {
    let mut left = Vec::new();
    let mut now = start;
    while now <= start + span {
        while let Some(release) = pacer.pop(now) {
            match release {
                Release::Packet { item, .. } => left.push(((now - start).as_millis(), item)),
                Release::Padding { .. } => {
                    left.push(((now - start).as_millis(), u32::MAX));
                    pacer.padded(now, 200);
                }
            }
        }
        match pacer.next_release() {
            Some(at) => now = at.max(now + Duration::from_micros(100)),
            None => break,
        }
    }
    left
}

#[test]
fn without_an_estimate_nothing_waits() {
    let now = origin();
    let mut pacer = Paced::new(PacerConfig::default());
    for item in 0..500 {
        pacer.push(now, Class::Video, 1200, item).unwrap();
    }
    assert_eq!(run(&mut pacer, now, Duration::ZERO).len(), 500);
}

#[test]
fn video_leaves_at_the_rate_in_bursts() {
    let now = origin();
    let mut pacer = pacer(now, 2_400_000);
    for item in 0..30 {
        pacer.push(now, Class::Video, 1500, item).unwrap();
    }
    // 5 ms at 2.4 Mbit/s are one packet and the end of another: two, then 10 ms of pause.
    let left = run(&mut pacer, now, ms(200));
    let times: Vec<_> = left.iter().map(|&(at, _)| at).collect();
    assert_eq!(&times[..6], [0, 5, 10, 15, 20, 25]);
    assert_eq!(left.len(), 30);
    assert_eq!(times[29], 29 * 5);
    assert!(left.iter().map(|&(_, item)| item).eq(0..30), "in order");
}

#[test]
fn audio_never_waits_and_retransmissions_go_before_video() {
    let now = origin();
    let mut pacer = pacer(now, 300_000);
    for item in 0..4 {
        pacer.push(now, Class::Video, 1200, item).unwrap();
    }
    pacer.pop(now).unwrap();
    assert!(pacer.pop(now).is_none(), "the first has used up the burst");
    pacer.push(now, Class::Retransmission, 1200, 10).unwrap();
    pacer.push(now, Class::Audio, 100, 20).unwrap();
    assert_eq!(pacer.next_release(), Some(now));
    let left = run(&mut pacer, now, ms(400));
    let items: Vec<_> = left.iter().map(|&(_, item)| item).collect();
    assert_eq!(items, [20, 10, 1, 2, 3]);
    assert_eq!(left[0].0, 0);
    // 1,300 bytes at 300 kbit/s: what audio took is paid for by the rest.
    assert!((34..=35).contains(&left[1].0), "{left:?}");
}

#[test]
fn a_queue_that_would_take_too_long_is_sent_faster() {
    let now = origin();
    let mut pacer = pacer(now, 100_000);
    for item in 0..100 {
        pacer.push(now, Class::Video, 1200, item).unwrap();
    }
    let left = run(&mut pacer, now, ms(2_000));
    assert!(left.len() > 90, "{}", left.len());
    assert!(left[60].0 <= PACER_QUEUE_TIME_MAX.as_millis(), "{:?}", left[60]);
    assert!(left[10].0 > 20, "but not all at once: {:?}", left[10]);
}

#[test]
fn a_keyframe_leaves_faster_for_so_long_that_the_path_has_a_queue_of_60_ms() {
    let now = origin();
    let queue = |hurries: &[u64]| {
        let mut pacer = pacer(now, 2_400_000);
        for item in 0..40 {
            pacer.push(now, Class::Video, 1500, item).unwrap();
        }
        for &at in hurries {
            pacer.pop(now + ms(at));
            pacer.hurry(now + ms(at));
        }
        run(&mut pacer, now, ms(400))
    };
    let regular = queue(&[]);
    let hurried = queue(&[0]);
    let at = |left: &[(u128, u32)], item| left.iter().find(|&&(_, i)| i == item).unwrap().0;
    // Three times as fast: three packets in 5 ms instead of one, for 30 ms.
    assert_eq!((at(&regular, 12), at(&hurried, 12)), (60, 20));
    let ahead = at(&regular, 39) - at(&hurried, 39);
    assert!((59..=61).contains(&ahead), "{ahead} ms ahead: no more queue than that");
    // A second one at once has nothing left but what was earned since.
    let twice = queue(&[0, 30]);
    assert!(at(&regular, 39) - at(&twice, 39) <= 66, "{twice:?}");
}

#[test]
fn haste_ends_with_what_it_was_for() {
    let now = origin();
    let mut pacer = pacer(now, 2_400_000);
    pacer.push(now, Class::Video, 1500, 0).unwrap();
    pacer.hurry(now);
    assert_eq!(run(&mut pacer, now, ms(1)).len(), 1);
    let later = now + ms(20);
    assert!(pacer.pop(later).is_none());
    for item in 0..10 {
        pacer.push(later, Class::Video, 1500, item).unwrap();
    }
    let left = run(&mut pacer, later, ms(100));
    assert_eq!(left[9].0, 45, "at the rate: {left:?}");
}

#[test]
fn what_waits_can_be_made_smaller_or_dropped() {
    let now = origin();
    let mut pacer = pacer(now, 2_400_000);
    for item in 0..30 {
        pacer.push(now, Class::Video, 1500, item).unwrap();
        pacer.push(now, Class::Retransmission, 1500, 100 + item).unwrap();
    }
    pacer.revise(Class::Retransmission, |_, _| 0);
    pacer.revise(Class::Video, |item, bytes| {
        *item += 50;
        if *item == 79 { bytes } else { 60 }
    });
    assert_eq!((pacer.waiting(), pacer.queued_bytes), (30, 29 * 60 + 1500));
    let left = run(&mut pacer, now, ms(100));
    assert!(left.iter().map(|&(_, item)| item).eq(50..80), "{left:?}");
    // 29 packets of 60 bytes take as long as one of 1,740.
    assert!((5..=7).contains(&left[29].0), "{left:?}");
}

#[test]
fn a_probe_goes_at_its_own_rate_and_fills_up_with_padding() {
    let now = origin();
    let mut pacer = pacer(now, 300_000);
    for item in 0..2 {
        pacer.push(now, Class::Video, 1000, item).unwrap();
    }
    let cluster = Cluster { id: 7, bitrate_bps: 2_000_000, bytes_min: 3_000, packets_min: 5 };
    pacer.probe(now, cluster);
    let left = run(&mut pacer, now, ms(100));
    // Two packets of 1,000 bytes at 4 ms each, then five of padding of 200 bytes.
    assert_eq!(left[..3], [(0, 0), (4, 1), (8, u32::MAX)]);
    assert_eq!(left.len(), 2 + 5);
    assert!(left[6].0 <= 13, "{left:?}");
    assert!(pacer.is_idle());
}

#[test]
fn media_does_not_wait_for_a_probe_that_is_slower() {
    let now = origin();
    let mut pacer = pacer(now, 8_000_000);
    let cluster = Cluster { id: 7, bitrate_bps: 600_000, bytes_min: 1_000, packets_min: 5 };
    pacer.probe(now, cluster);
    for item in 0..10 {
        pacer.push(now, Class::Video, 1000, item).unwrap();
    }
    let left = run(&mut pacer, now, ms(100));
    assert_eq!(left.len(), 10);
    assert!(left.iter().all(|&(at, item)| at <= u128::from(item) + 1), "{left:?}");
}

#[test]
fn where_nothing_is_held_back_nothing_is_probed() {
    let now = origin();
    let mut pacer = Pacer::<u32, u32>::new(PacerConfig::default());
    let cluster = Cluster { id: 7, bitrate_bps: 600_000, bytes_min: 1_000, packets_min: 5 };
    pacer.probe(now, cluster);
    assert!(pacer.is_idle());
    pacer.set_estimate(now, Some(300_000));
    pacer.probe(now, cluster);
    assert!(!pacer.is_idle());
    pacer.set_estimate(now, None);
    assert!(pacer.is_idle());
}

#[test]
fn a_probe_without_anything_to_send_ends() {
    let now = origin();
    let mut pacer = pacer(now, 300_000);
    let cluster = Cluster { id: 7, bitrate_bps: 1_000_000, bytes_min: 3_000, packets_min: 5 };
    pacer.probe(now, cluster);
    assert_eq!(pacer.pop(now), Some(Release::Padding { probe: 7 }));
    pacer.padded(now, 0);
    assert_eq!(pacer.pop(now), None);
    assert!(pacer.is_idle());
}

#[test]
fn what_is_too_much_is_given_back() {
    let now = origin();
    let mut pacer = pacer(now, 300_000);
    for item in 0..PACER_PACKETS_MAX as u32 {
        pacer.push(now, Class::Video, 1200, item).unwrap();
    }
    assert_eq!(pacer.push(now, Class::Audio, 100, 1), Err(1));
    pacer.clear();
    assert!(pacer.is_idle() && pacer.push(now, Class::Audio, 100, 1).is_ok());
}

#[test]
fn where_there_is_room_a_frame_leaves_in_one_burst_at_the_same_rate() {
    let now = origin();
    let mut pacer = pacer(now, 2_400_000);
    pacer.set_burst(Some(ms(15)));
    for item in 0..12 {
        pacer.push(now, Class::Video, 1500, item).unwrap();
    }
    // 15 ms at 2.4 Mbit/s are three packets.
    let times: Vec<_> = run(&mut pacer, now, ms(200)).iter().map(|&(at, _)| at).collect();
    assert_eq!(times, [0, 0, 0, 15, 15, 15, 30, 30, 30, 45, 45, 45]);
    pacer.set_burst(None);
    let later = now + ms(100);
    for item in 0..2 {
        pacer.push(later, Class::Video, 1500, item).unwrap();
    }
    let times: Vec<_> = run(&mut pacer, later, ms(100)).iter().map(|&(at, _)| at).collect();
    assert_eq!(times, [0, 5], "and no longer without");
}
