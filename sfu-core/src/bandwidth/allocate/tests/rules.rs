//! One test a rule, without history: what a subscriber gets that has just come.

use super::*;
use crate::preference::Quality;

/// Grants to the cameras of a new subscriber, as (encoding, temporal).
fn shared(subscriber: &mut Subscriber, kbps: u64) -> Vec<Option<(u8, u8)>> {
    subscriber.run(kbps).iter().map(|g| g.layer.map(|l| (l.encoding, l.temporal))).collect()
}

fn reasons(subscriber: &Subscriber) -> Vec<Reason> {
    subscriber.grants.iter().map(|grant| grant.reason).collect()
}

#[test]
fn one_camera_climbs_with_the_estimate() {
    // 720p at 7 frames/s (680 kbit/s) is skipped: it stutters.
    for (kbps, expected, reason) in [
        (50, None, Reason::Bandwidth),
        (60, Some((0, 0)), Reason::Bandwidth),
        (110, Some((0, 1)), Reason::Bandwidth),
        (180, Some((0, 2)), Reason::Bandwidth),
        (400, Some((1, 1)), Reason::Bandwidth),
        (700, Some((1, 2)), Reason::Bandwidth),
        (900, Some((1, 2)), Reason::Bandwidth),
        (1200, Some((2, 1)), Reason::Bandwidth),
        (1960, Some((2, 2)), Reason::Best),
    ] {
        let mut subscriber = Subscriber::cameras(1);
        assert_eq!(shared(&mut subscriber, kbps), [expected], "{kbps}");
        assert_eq!(reasons(&subscriber), [reason], "{kbps}");
    }
}

#[test]
fn what_is_asked_for_bounds_the_ladder_and_says_so() {
    let auto = Preference::default();
    let quality = |quality| Preference { quality, ..auto };
    let size = |w, h| Preference { max_size: Some((w, h)), ..auto };
    for (preference, expected, reason) in [
        (quality(Quality::Off), None, Reason::Off),
        (quality(Quality::Low), Some((0, 2)), Reason::Wanted),
        (quality(Quality::Medium), Some((1, 2)), Reason::Wanted),
        (quality(Quality::High), Some((2, 2)), Reason::Best),
        (Preference { visible: false, ..auto }, None, Reason::Hidden),
        (size(100, 100), Some((0, 2)), Reason::LargeEnough),
        (size(320, 180), Some((0, 2)), Reason::LargeEnough),
        // Hardly larger than the layer: scaled up invisibly.
        (size(700, 390), Some((1, 2)), Reason::LargeEnough),
        (size(800, 450), Some((2, 2)), Reason::Best),
        // Shown whole in a high place, the width decides.
        (size(320, 900), Some((0, 2)), Reason::LargeEnough),
        (size(4000, 4000), Some((2, 2)), Reason::Best),
        (size(0, 0), Some((0, 2)), Reason::LargeEnough),
        (Preference { quality: Quality::High, ..size(100, 100) }, Some((2, 2)), Reason::Best),
        (
            Preference { quality: Quality::Medium, ..size(320, 180) },
            Some((0, 2)),
            Reason::LargeEnough,
        ),
        (Preference { max_frames_per_second: Some(15), ..auto }, Some((2, 1)), Reason::LargeEnough),
        (Preference { max_frames_per_second: Some(30), ..auto }, Some((2, 2)), Reason::Best),
        // Slower than the slowest there is: the slowest there is.
        (Preference { max_frames_per_second: Some(1), ..auto }, Some((2, 0)), Reason::LargeEnough),
    ] {
        let mut subscriber = Subscriber::cameras(1);
        subscriber.wants[0].0.preference = preference;
        assert_eq!(shared(&mut subscriber, 10_000), [expected], "{preference:?}");
        assert_eq!(reasons(&subscriber), [reason], "{preference:?}");
    }
}

#[test]
fn what_is_withheld_gets_nothing_and_costs_nothing() {
    for reason in [Reason::Muted, Reason::LastN, Reason::NoSlot] {
        let mut subscriber = Subscriber::cameras(2);
        subscriber.wants[0].0.withheld = Some(reason);
        assert_eq!(shared(&mut subscriber, 1_960), [None, Some((2, 2))]);
        assert_eq!(reasons(&subscriber)[0], reason);
    }
    let mut subscriber = Subscriber::with([(Demand::new(track(1)), vec![])]);
    subscriber.run(1_000);
    assert_eq!(reasons(&subscriber), [Reason::Silent]);
    let silent = vec![option(layer(0, 0, 0), 0, (320, 180), 0)];
    let mut subscriber = Subscriber::with([(Demand::new(track(1)), silent)]);
    subscriber.run(1_000);
    assert_eq!(reasons(&subscriber), [Reason::Silent]);
}

#[test]
fn without_sizes_the_order_of_encodings_decides() {
    let mut options = simulcast();
    for option in &mut options {
        (option.width, option.height) = (0, 0);
    }
    for (quality, expected) in [(Quality::Low, 0), (Quality::Medium, 1), (Quality::Auto, 2)] {
        let mut subscriber = Subscriber::with([(Demand::new(track(1)), options.clone())]);
        subscriber.wants[0].0.preference.quality = quality;
        subscriber.wants[0].0.preference.max_size = Some((640, 360));
        assert_eq!(shared(&mut subscriber, 10_000), [Some((expected, 2))]);
    }
}

#[test]
fn with_sizes_the_order_of_encodings_does_not_matter() {
    let mut options = simulcast();
    for option in &mut options {
        option.layer.encoding = 2 - option.layer.encoding;
    }
    for (quality, expected) in [(Quality::Low, 2), (Quality::Medium, 1), (Quality::Auto, 0)] {
        let mut subscriber = Subscriber::with([(Demand::new(track(1)), options.clone())]);
        subscriber.wants[0].0.preference.quality = quality;
        assert_eq!(shared(&mut subscriber, 10_000), [Some((expected, 2))]);
    }
}

#[test]
fn a_screen_is_legible_before_it_is_smooth() {
    let options: Vec<_> = [(0, 300, (960, 540)), (1, 1_000, (1920, 1080))]
        .into_iter()
        .flat_map(|(e, kbps, size)| {
            [(0, 40, 5), (1, 60, 15), (2, 100, 30)]
                .map(|(t, share, fps)| option(layer(e, 0, t), kbps * share / 100, size, fps))
        })
        .collect();
    let at = |screen, kbps| {
        let mut demand = Demand::new(track(1));
        demand.screen = screen;
        shared(&mut Subscriber::with([(demand, options.clone())]), kbps)[0]
    };
    assert_eq!(at(true, 480), Some((1, 0)), "5 frames/s of legible text");
    assert_eq!(at(false, 480), Some((0, 2)), "30 frames/s of a small camera");
    assert_eq!(at(true, 430), Some((0, 2)));
    assert_eq!(at(true, 700), Some((1, 1)));
}

#[test]
fn svc_layers_are_levels_too() {
    let mut options = simulcast();
    for option in &mut options {
        option.layer.spatial = option.layer.encoding;
        option.layer.encoding = 0;
    }
    for (kbps, expected) in [(180, layer(0, 0, 2)), (700, layer(0, 1, 2)), (1_960, layer(0, 2, 2))]
    {
        let mut subscriber = Subscriber::with([(Demand::new(track(1)), options.clone())]);
        assert_eq!(subscriber.run(kbps)[0].layer, Some(expected));
    }
}

#[test]
fn everyone_has_the_lowest_before_anyone_has_more() {
    let mut subscriber = Subscriber::cameras(5);
    assert_eq!(shared(&mut subscriber, 300), [Some((0, 0)); 5]);
    assert_eq!(reasons(&subscriber), [Reason::Bandwidth; 5]);
    assert_eq!(subscriber.totals.wanted_bps, 5 * 1_700 * KBPS);
    assert_eq!(subscriber.totals.allocated_bps, 300 * KBPS);
}

#[test]
fn the_least_important_is_paused_first() {
    let mut subscriber = Subscriber::cameras(5);
    subscriber.wants[0].0.preference.priority = 50;
    subscriber.wants[3].0.preference.priority = 200;
    subscriber.wants[4].0.preference.pinned = true;
    let got = shared(&mut subscriber, 299);
    assert_eq!(got.iter().position(Option::is_none), Some(0));
    assert_eq!(subscriber.grants[0].reason, Reason::Priority, "it would fit alone");
    let got = shared(&mut subscriber.renew(), 130);
    assert_eq!(got, [None, None, None, Some((0, 0)), Some((0, 0))]);
    let got = shared(&mut subscriber.renew(), 65);
    assert_eq!(got, [None, None, None, None, Some((0, 0))]);
}

#[test]
fn what_cannot_be_served_takes_nothing_from_others() {
    let mut demand = Demand::new(track(9));
    demand.preference.priority = 255;
    let mut subscriber =
        Subscriber::with([(demand, single(2_500)), (Demand::new(track(1)), simulcast())]);
    assert_eq!(shared(&mut subscriber, 2_000), [None, Some((2, 2))]);
    assert_eq!(reasons(&subscriber), [Reason::Bandwidth, Reason::Best]);
}

#[test]
fn audio_and_reserve_come_first() {
    let mut subscriber = Subscriber::cameras(1);
    subscriber.budget.reserve_bps = 150 * KBPS;
    assert_eq!(shared(&mut subscriber, 200), [None], "60 kbit/s do not fit beside the audio");
    assert_eq!(shared(&mut subscriber.renew(), 100), [None], "less than the audio needs");
    assert_eq!(subscriber.totals.allocated_bps, 150 * KBPS);
    let mut subscriber = subscriber.renew();
    assert_eq!(shared(&mut subscriber, 210), [Some((0, 0))]);
    assert_eq!(subscriber.totals.allocated_bps, 210 * KBPS);
}

#[test]
fn nine_tiles_on_one_and_a_half_megabits() {
    let mut subscriber = Subscriber::cameras(9);
    subscriber.budget.reserve_bps = 9 * 35 * KBPS;
    subscriber.wants[4].0.preference.pinned = true;
    // 1500 / 1.15 - 315 = 989 for video, 8 × 60 of it for the others.
    let mut expected = [Some((0, 0)); 9];
    expected[4] = Some((1, 2));
    assert_eq!(shared(&mut subscriber, 1_500), expected);
    assert_eq!(subscriber.grants[1].reason, Reason::Priority, "the pinned one takes it");
    assert_eq!(subscriber.grants[4].reason, Reason::Bandwidth);
    // Nobody pinned: all a little better, the oldest first.
    let mut subscriber = subscriber.renew();
    subscriber.wants[4].0.preference.pinned = false;
    let got = shared(&mut subscriber, 1_500);
    assert_eq!(got.iter().filter(|&&g| g == Some((0, 1))).count(), 7, "{got:?}");
    assert_eq!(got[..2], [Some((0, 2)); 2], "{got:?}");
}

#[test]
fn a_higher_priority_is_served_out_before_a_lower() {
    let mut subscriber = Subscriber::cameras(2);
    subscriber.wants[1].0.preference.priority = 101;
    assert_eq!(shared(&mut subscriber, 700), [Some((0, 1)), Some((1, 2))]);
    assert_eq!(reasons(&subscriber), [Reason::Priority, Reason::Bandwidth]);
}

#[test]
fn equals_are_improved_in_turn() {
    let mut subscriber = Subscriber::cameras(2);
    assert_eq!(shared(&mut subscriber, 800), [Some((1, 1)), Some((1, 1))]);
}

#[test]
fn a_layer_that_is_worse_and_dearer_is_never_chosen() {
    let mut options = simulcast();
    // The middle encoding costs more than the large one, as after a scene change.
    for option in options.iter_mut().filter(|option| option.layer.encoding == 1) {
        option.bitrate_bps = 1_800 * KBPS;
    }
    let mut subscriber = Subscriber::with([(Demand::new(track(1)), options)]);
    assert_eq!(shared(&mut subscriber, 10_000), [Some((2, 2))]);
    assert_eq!(shared(&mut subscriber.renew(), 1_000), [Some((0, 2))]);
}

#[test]
fn the_next_step_is_priced_with_its_margin() {
    let mut subscriber = Subscriber::cameras(1);
    subscriber.budget.reserve_bps = 100 * KBPS;
    subscriber.run(500);
    let next = subscriber.totals.next_step_bps.unwrap();
    assert_eq!(subscriber.layers(), [Some(layer(1, 0, 1))]);
    let needed = (500 + 100) * KBPS * 115 / 100;
    assert_eq!(next, needed);
    let mut below = subscriber.renew();
    below.run(next / KBPS - 1);
    assert_eq!(below.layers(), subscriber.layers());
    let mut there = subscriber.renew();
    there.run(next / KBPS);
    assert_eq!(there.layers(), [Some(layer(1, 0, 2))]);
    there.run(10_000);
    there.run_for(2_000, 10_000);
    assert_eq!(there.totals.next_step_bps, None, "it has all it wants");
}

impl Subscriber {
    /// The same wishes without history.
    fn renew(&self) -> Self {
        let wants = self.wants.iter().map(|(demand, options)| {
            let demand = Demand { granted: None, memory: Memory::default(), ..demand.clone() };
            (demand, options.clone())
        });
        Self { budget: self.budget, ..Self::with(wants) }
    }
}

#[test]
fn without_any_bound_all_get_the_best() {
    let mut subscriber = Subscriber::cameras(250);
    subscriber.budget.reserve_bps = u64::MAX / 2;
    subscriber.budget.probed_bps = Some(u64::MAX);
    subscriber.run(u64::MAX / KBPS);
    assert!(reasons(&subscriber).iter().all(|&reason| reason == Reason::Best));
    let absurd = vec![option(layer(0, 0, 0), u64::MAX / KBPS, (320, 180), 30); 3];
    let mut subscriber = Subscriber::with([0, 1].map(|n| (Demand::new(track(n)), absurd.clone())));
    subscriber.run(1_000);
    assert_eq!(reasons(&subscriber), [Reason::Bandwidth; 2]);
}
