use super::*;
use crate::bandwidth::tests::origin;

const STEADY: Signals = Signals {
    usage: Usage::Normal,
    queue: Duration::ZERO,
    last_queue: Duration::ZERO,
    jitter: Duration::ZERO,
    rtt: Duration::from_millis(100),
    acked_bps: Some(1_000_000),
    acked_smooth_bps: Some(1_000_000),
    inherent_loss: 0.0,
    has_lost: false,
    is_application_limited: false,
};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// One batch every 50 ms; gives the rate.
fn feed(aimd: &mut Aimd, now: &mut Instant, batches: u32, signals: &Signals) -> u64 {
    // Packets wait at least as long as the one that waited least.
    let signals = Signals { last_queue: signals.last_queue.max(signals.queue), ..*signals };
    for _ in 0..batches {
        *now += ms(50);
        aimd.update(*now, &signals);
    }
    aimd.bps()
}

fn at_a_million() -> (Aimd, Instant) {
    let mut aimd = Aimd::new(1_000_000, 30_000, 20_000_000);
    let now = origin();
    aimd.update(now, &STEADY);
    (aimd, now)
}

#[test]
fn grows_by_eight_per_cent_a_second_while_nothing_is_known() {
    let (mut aimd, mut now) = at_a_million();
    let grown = feed(&mut aimd, &mut now, 20, &STEADY);
    assert!((1_079_000..=1_081_000).contains(&grown), "{grown}");
    let grown = feed(&mut aimd, &mut now, 400, &STEADY);
    assert_eq!(grown, 1_510_000, "one and a half times what arrives");
}

#[test]
fn grows_by_a_packet_per_response_time_near_its_ceiling() {
    let (mut aimd, mut now) = at_a_million();
    aimd.on_probe(now, 1_000_000, true);
    let grown = feed(&mut aimd, &mut now, 20, &STEADY);
    assert!((1_024_000..=1_026_000).contains(&grown), "half of 9600 bits in 200 ms: {grown}");
    (0..5).for_each(|_| aimd.on_probe(now, 1_050_000, true));
    let grown = aimd.bps();
    aimd.ceiling.on_probe(1_090_000);
    let grown = feed(&mut aimd, &mut now, 2, &STEADY) - grown;
    assert!((4790..=4810).contains(&grown), "all of it below: {grown}");
}

#[test]
fn does_not_grow_while_little_is_sent_or_queues_shrink_or_nothing_is_known_to_arrive() {
    let (mut aimd, mut now) = at_a_million();
    for signals in [
        Signals { is_application_limited: true, ..STEADY },
        Signals { usage: Usage::Underuse, ..STEADY },
        Signals { acked_smooth_bps: None, ..STEADY },
    ] {
        assert_eq!(feed(&mut aimd, &mut now, 100, &signals), 1_000_000);
    }
}

#[test]
fn falls_below_what_arrives_by_what_the_queue_asks_for() {
    // Queue, what arrives, random loss; what is left.
    let table = [
        (20, 900_000, 0.0, 792_000),
        (160, 900_000, 0.0, 720_000),
        (300, 600_000, 0.0, 375_000),
        (900, 600_000, 0.0, 300_000),
        (20, 720_000, 0.2, 792_000),
        (20, 5_000_000, 0.0, 1_000_000),
    ];
    for (queue, acked, inherent_loss, expected) in table {
        let (mut aimd, mut now) = at_a_million();
        let signals = Signals {
            usage: Usage::Overuse,
            queue: ms(queue),
            acked_bps: Some(acked),
            inherent_loss,
            ..STEADY
        };
        assert_eq!(feed(&mut aimd, &mut now, 1, &signals), expected, "{queue} {acked}");
        assert!(aimd.is_draining());
    }
}

#[test]
fn comes_back_to_just_below_the_path_s_rate_once_the_queue_has_drained() {
    let (mut aimd, mut now) = at_a_million();
    let acked = Signals { acked_bps: Some(900_000), acked_smooth_bps: Some(900_000), ..STEADY };
    feed(&mut aimd, &mut now, 1, &Signals { usage: Usage::Overuse, queue: ms(40), ..acked });
    assert_eq!(feed(&mut aimd, &mut now, 1, &Signals { queue: ms(30), ..acked }), 792_000);
    assert_eq!(feed(&mut aimd, &mut now, 1, &Signals { queue: ms(13), ..acked }), 792_000);
    assert_eq!(feed(&mut aimd, &mut now, 1, &Signals { queue: ms(5), ..acked }), 855_000);
    assert!(!aimd.is_draining());
    assert_eq!(aimd.ceiling_bps(), Some(900_000));
}

#[test]
fn a_full_queue_that_grows_no_more_is_still_too_much() {
    let (mut aimd, mut now) = at_a_million();
    let full = Signals { acked_bps: Some(800_000), queue: ms(300), ..STEADY };
    feed(&mut aimd, &mut now, 1, &Signals { usage: Usage::Overuse, ..full });
    let after = aimd.bps();
    let less = Signals { acked_bps: Some(300_000), ..full };
    assert_eq!(feed(&mut aimd, &mut now, 4, &less), after, "give it a response time");
    assert!(feed(&mut aimd, &mut now, 1, &less) < after / 2);
}

#[test]
fn a_queue_that_grew_until_the_decrease_was_felt_is_taken_into_account_once() {
    let (mut aimd, mut now) = at_a_million();
    let short = Signals { acked_bps: Some(600_000), queue: ms(80), ..STEADY };
    assert_eq!(feed(&mut aimd, &mut now, 1, &Signals { usage: Usage::Overuse, ..short }), 528_000);
    let long = Signals { queue: ms(240), ..short };
    assert_eq!(feed(&mut aimd, &mut now, 4, &long), 528_000);
    assert_eq!(feed(&mut aimd, &mut now, 1, &long), 420_000);
    let longer = Signals { queue: ms(300), ..short };
    assert_eq!(feed(&mut aimd, &mut now, 15, &longer), 420_000);
}

#[test]
fn a_queue_that_does_not_drain_is_not_waited_for_for_ever() {
    let (mut aimd, mut now) = at_a_million();
    let stays = Signals { acked_bps: Some(900_000), queue: ms(100), ..STEADY };
    feed(&mut aimd, &mut now, 1, &Signals { usage: Usage::Overuse, ..stays });
    feed(&mut aimd, &mut now, 34, &stays);
    assert!(aimd.is_draining());
    feed(&mut aimd, &mut now, 4, &stays);
    assert!(!aimd.is_draining());
}

#[test]
fn two_decreases_are_a_round_trip_apart_unless_it_is_much_too_much() {
    let (mut aimd, mut now) = at_a_million();
    let over =
        Signals { usage: Usage::Overuse, last_queue: ms(20), acked_bps: Some(900_000), ..STEADY };
    let first = feed(&mut aimd, &mut now, 1, &over);
    let less = Signals { acked_bps: Some(700_000), ..over };
    assert_eq!(feed(&mut aimd, &mut now, 1, &less), first);
    assert!(feed(&mut aimd, &mut now, 1, &less) < first);
    let much = Signals { acked_bps: Some(100_000), ..over };
    assert_eq!(feed(&mut aimd, &mut now, 1, &much), 88_000);
}

#[test]
fn probes_raise_and_lower_nothing_that_is_known() {
    let (mut aimd, now) = at_a_million();
    aimd.on_probe(now, 900_000, true);
    assert_eq!(aimd.bps(), 900_000, "nothing else is known");
    aimd.on_probe(now, 500_000, true);
    assert_eq!(aimd.bps(), 900_000);
    aimd.on_probe(now, 2_000_000, false);
    assert_eq!((aimd.bps(), aimd.ceiling_bps()), (2_000_000, None));
    aimd.on_probe(now, u64::MAX, false);
    assert_eq!(aimd.bps(), 20_000_000);
}

#[test]
fn what_was_shown_to_pass_takes_two_probes_to_be_doubted() {
    // When the second comes, and what it shows: does the rate fall to it?
    for (after, shown, is_saturated, expected) in [
        (100, 500_000, true, 2_000_000),
        (1_500, 500_000, true, 500_000),
        (20_000, 500_000, true, 2_000_000),
        (1_500, 2_000_000, true, 2_000_000),
        (1_500, 1_800_000, false, 2_000_000),
    ] {
        let (mut aimd, now) = at_a_million();
        aimd.on_probe(now, 2_000_000, false);
        aimd.on_probe(now, 400_000, true);
        assert_eq!((aimd.bps(), aimd.ceiling_bps()), (2_000_000, None));
        aimd.on_probe(now + ms(after), shown, is_saturated);
        assert_eq!(aimd.bps(), expected, "{shown} after {after} ms");
    }
    let (mut aimd, now) = at_a_million();
    aimd.on_probe(now, 2_000_000, false);
    aimd.on_probe(now, 1_700_000, true);
    assert_eq!(aimd.bps(), 1_700_000, "a little too much was shown");
}

#[test]
fn a_trend_without_a_queue_is_noise() {
    let (mut aimd, mut now) = at_a_million();
    let over = Signals { usage: Usage::Overuse, ..STEADY };
    assert_eq!(feed(&mut aimd, &mut now, 5, &over), 1_000_000);
    assert!(feed(&mut aimd, &mut now, 1, &Signals { last_queue: ms(20), ..over }) < 900_000);
}

#[test]
fn outages_halve_down_to_the_bound() {
    let (mut aimd, _) = at_a_million();
    aimd.on_outage();
    assert_eq!(aimd.bps(), 500_000);
    (0..20).for_each(|_| aimd.on_outage());
    assert_eq!(aimd.bps(), 30_000);
    aimd.restart(700_000);
    assert_eq!(aimd.bps(), 700_000);
}

#[test]
fn a_queue_holds_it_and_a_longer_one_lowers_it_without_any_trend() {
    // Of which a packet may be 9.6 ms.
    for (queue, expected) in [(29, 1_003_848), (31, 1_000_000), (49, 1_000_000), (51, 880_000)] {
        let (mut aimd, mut now) = at_a_million();
        let rate = feed(&mut aimd, &mut now, 1, &Signals { queue: ms(queue), ..STEADY });
        assert!(rate.abs_diff(expected) < 200, "{rate} behind {queue} ms");
    }
}

#[test]
fn a_queue_that_stays_is_another_flow_s_and_is_borne_for_a_while() {
    let (mut aimd, mut now) = at_a_million();
    let stays = Signals { queue: ms(200), acked_bps: Some(990_000), ..STEADY };
    feed(&mut aimd, &mut now, 40, &stays);
    assert!(!aimd.is_draining());
    let before = aimd.bps();
    assert!(feed(&mut aimd, &mut now, 60, &stays) > before);
    feed(&mut aimd, &mut now, 1200, &STEADY);
    feed(&mut aimd, &mut now, 1, &stays);
    assert!(aimd.is_draining(), "a minute later it is a sign again");
}

#[test]
fn what_arrives_without_a_queue_is_believed_once_it_is_clearly_more() {
    // What arrived last, and over a longer time; what becomes of a million that was met before.
    for (now_bps, smooth_bps, expected) in [
        (1_200_000, 1_200_000, 1_000_000),
        (1_500_000, 1_400_000, 1_400_000),
        (1_400_000, 1_500_000, 1_400_000),
        (1_100_000, 3_000_000, 1_000_000),
    ] {
        let (mut aimd, mut now) = at_a_million();
        let over = Signals { usage: Usage::Overuse, last_queue: ms(20), ..STEADY };
        feed(&mut aimd, &mut now, 1, &over);
        aimd.restart(1_000_000);
        let more =
            Signals { acked_bps: Some(now_bps), acked_smooth_bps: Some(smooth_bps), ..STEADY };
        let soon = feed(&mut aimd, &mut now, 1, &more);
        assert!(soon <= 1_005_000, "{soon}: it may have been sent before the decrease");
        feed(&mut aimd, &mut now, 21, &STEADY);
        aimd.restart(1_000_000);
        let rate = feed(&mut aimd, &mut now, 1, &more);
        assert!(rate.abs_diff(expected) <= expected / 200, "{rate} for {now_bps}, {smooth_bps}");
    }
}

#[test]
fn what_little_is_sent_is_not_what_the_path_carries() {
    // Queue, jitter, what is left of a million when only a twentieth is sent.
    for (queue, jitter, expected) in
        [(50, 0, 880_000), (90, 0, 44_000), (90, 10, 880_000), (130, 10, 44_000)]
    {
        let (mut aimd, mut now) = at_a_million();
        let signals = Signals {
            usage: Usage::Overuse,
            queue: ms(queue),
            jitter: ms(jitter),
            acked_bps: Some(50_000),
            is_application_limited: true,
            ..STEADY
        };
        assert_eq!(feed(&mut aimd, &mut now, 1, &signals), expected, "{queue} ms, {jitter} ms");
    }
}
