//! The meter fed with what encoders send.

use super::*;
use crate::publish::test_clock::{ms, origin};

const KEYFRAME: usize = 8;

/// A publisher of 30 frames/s in three temporal layers (a quarter, a quarter, half of the frames).
struct Publisher {
    meter: LayerMeter,
    now: Instant,
    frame: u32,
    /// Mean bytes of a frame by encoding; 0 sends nothing.
    bytes: [usize; 3],
    /// Frames between keyframes.
    keyframes: u32,
}

impl Publisher {
    fn new() -> Self {
        // 120, 480 and 1680 kbit/s.
        Self {
            meter: LayerMeter::new(3),
            now: origin(),
            frame: 0,
            bytes: [500, 2_000, 7_000],
            keyframes: u32::MAX,
        }
    }

    /// Sends frames for so long; each in packets of up to 1000 bytes.
    fn run(&mut self, millis: u64) -> &mut Self {
        let until = self.now + ms(millis);
        while self.now < until {
            let temporal = [0, 2, 1, 2][self.frame as usize % 4];
            for (encoding, bytes) in (0u8..).zip(self.bytes) {
                let key = self.frame.is_multiple_of(self.keyframes);
                let mut left = if key { bytes * KEYFRAME } else { bytes };
                let mut first = true;
                while left > 0 {
                    let packet = left.min(1_000);
                    let layer = LayerId { encoding, spatial: 0, temporal };
                    self.meter.note(self.now, layer, packet, first);
                    (left, first) = (left - packet, false);
                }
            }
            self.frame += 1;
            self.now += Duration::from_micros(33_333);
            self.meter.tick(self.now);
        }
        self
    }

    fn options(&self) -> Vec<LayerOption> {
        let mut options = Vec::new();
        self.meter.options(self.now, &mut options);
        options
    }

    fn option(&self, encoding: u8, temporal: u8) -> Option<LayerOption> {
        let layer = LayerId { encoding, spatial: 0, temporal };
        self.options().into_iter().find(|option| option.layer == layer)
    }

    fn kbps(&self, encoding: u8, temporal: u8) -> u64 {
        self.option(encoding, temporal).map_or(0, |option| option.bitrate_bps / 1_000)
    }
}

fn near(value: u64, expected: u64, percent: u64) -> bool {
    value.abs_diff(expected) * 100 <= expected * percent
}

#[test]
fn layers_cost_what_they_and_those_below_send() {
    let mut publisher = Publisher::new();
    publisher.run(3_000);
    for (encoding, total) in [(0, 120), (1, 480), (2, 1_680)] {
        for (temporal, share, fps) in [(0, 25, 8), (1, 50, 15), (2, 100, 30)] {
            let option = publisher.option(encoding, temporal).unwrap();
            let kbps = option.bitrate_bps / 1_000;
            assert!(near(kbps, total * share / 100, 10), "{encoding}.{temporal}: {kbps}");
            assert!(option.frames_per_second.abs_diff(fps) <= 1, "{option:?}");
        }
    }
    assert_eq!(publisher.options().len(), 9);
}

#[test]
fn a_track_that_begins_has_options_with_its_first_packet() {
    let mut publisher = Publisher::new();
    assert_eq!(publisher.options(), []);
    publisher.run(1);
    assert_eq!(publisher.options().len(), 3);
    assert!(near(publisher.kbps(0, 0), 120, 60), "{}", publisher.kbps(0, 0));
    for (at, percent) in [(150, 35), (300, 25), (500, 15), (1_000, 12)] {
        let mut publisher = Publisher::new();
        publisher.run(at);
        for (encoding, total) in [(0, 120), (1, 480), (2, 1_680)] {
            let kbps = publisher.kbps(encoding, 2);
            assert!(near(kbps, total, percent), "{encoding} after {at} ms: {kbps}");
        }
    }
}

#[test]
fn a_keyframe_now_and_then_does_not_make_a_layer_dear() {
    let mut publisher = Publisher::new();
    publisher.keyframes = 90;
    publisher.run(2_000);
    for _ in 0..100 {
        publisher.run(100);
        let kbps = publisher.kbps(2, 2);
        assert!(near(kbps, 1_680, 12), "{kbps} after {} frames", publisher.frame);
    }
}

#[test]
fn a_rate_rises_within_a_second_and_falls_over_a_few() {
    let mut publisher = Publisher::new();
    publisher.run(3_000).bytes = [500, 2_000, 10_500];
    publisher.run(1_600);
    assert!(near(publisher.kbps(2, 2), 2_520, 10), "{}", publisher.kbps(2, 2));
    publisher.bytes[2] = 2_100;
    publisher.run(1_000);
    assert!(publisher.kbps(2, 2) > 1_500, "{}", publisher.kbps(2, 2));
    publisher.run(6_000);
    assert!(near(publisher.kbps(2, 2), 504, 15), "{}", publisher.kbps(2, 2));
}

#[test]
fn an_encoding_that_stops_unasked_is_gone_at_once() {
    let mut publisher = Publisher::new();
    publisher.run(3_000).bytes[2] = 0;
    publisher.run(500);
    assert_eq!(publisher.options().len(), 9);
    publisher.run(400);
    assert_eq!(publisher.options().len(), 6);
    assert!(!publisher.meter.arrives(publisher.now, 2));
    publisher.bytes[2] = 7_000;
    publisher.run(150);
    assert!(publisher.kbps(2, 2) > 1_300, "known from before: {}", publisher.kbps(2, 2));
}

#[test]
fn a_pause_of_the_whole_track_is_borne_for_longer() {
    let mut publisher = Publisher::new();
    publisher.run(3_000).bytes = [0; 3];
    publisher.run(2_900);
    assert_eq!(publisher.options().len(), 9);
    publisher.run(200);
    assert_eq!(publisher.options(), []);
    // One that had stopped before does not come back by the others' pause.
    let mut publisher = Publisher::new();
    publisher.run(3_000).bytes[2] = 0;
    publisher.run(1_000).bytes = [0; 3];
    publisher.run(1_500);
    assert_eq!(publisher.options().len(), 6);
}

#[test]
fn a_screen_that_hardly_moves_is_not_silent() {
    let mut meter = LayerMeter::new(1);
    let start = origin();
    for second in 0..30 {
        let now = start + ms(second * 1_000);
        meter.note(now, LayerId::default(), 900, true);
        for tenth in 1..10 {
            let now = now + ms(tenth * 100);
            meter.tick(now);
            let mut options = Vec::new();
            meter.options(now, &mut options);
            assert_eq!(options.len(), 1, "at {second}.{tenth} s");
        }
    }
}

#[test]
fn an_encoding_that_was_turned_off_stays_on_offer_at_its_last_rate() {
    let mut publisher = Publisher::new();
    publisher.run(3_000);
    publisher.meter.set_wanted(publisher.now, &[true, true, false], 7);
    assert!(publisher.meter.arrives(publisher.now, 2), "until it stops");
    publisher.bytes[2] = 0;
    publisher.run(600_000);
    assert!(!publisher.meter.arrives(publisher.now, 2));
    assert!(near(publisher.kbps(2, 2), 1_680, 30), "{}", publisher.kbps(2, 2));
    assert_eq!(publisher.options().len(), 9);
}

#[test]
fn one_that_does_not_start_when_asked_is_left_alone_for_a_while() {
    let mut publisher = Publisher::new();
    publisher.run(3_000);
    let tell = |publisher: &mut Publisher, wanted| {
        publisher.meter.set_wanted(publisher.now, &[true, true, wanted], 7);
    };
    tell(&mut publisher, false);
    publisher.bytes[2] = 0;
    publisher.run(2_000);
    tell(&mut publisher, true);
    publisher.run(2_900);
    assert_eq!(publisher.options().len(), 9, "it may take a moment");
    publisher.run(200);
    assert_eq!(publisher.options().len(), 6, "it has been refused");
    tell(&mut publisher, false);
    publisher.run(10_000);
    assert_eq!(publisher.options().len(), 6, "and not forgotten");
    publisher.run(20_000);
    assert_eq!(publisher.options().len(), 9, "but forgiven");
    tell(&mut publisher, true);
    publisher.bytes[2] = 7_000;
    publisher.run(2_000);
    assert!(publisher.meter.arrives(publisher.now, 2));
    publisher.run(20_000);
    assert_eq!(publisher.options().len(), 9);
}

#[test]
fn one_that_never_arrived_is_judged_by_its_neighbours_once_it_may_be_asked_for() {
    let mut publisher = Publisher::new();
    publisher.bytes = [0, 2_000, 0];
    publisher.meter.set_size(1, 0, 640, 360);
    publisher.run(3_000);
    assert_eq!(publisher.options().len(), 3, "it was to be sent, and is not");
    publisher.meter.set_wanted(publisher.now, &[false, true, false], 7);
    assert_eq!(publisher.options().len(), 9);
    assert!(near(publisher.kbps(0, 2), 160, 12), "{}", publisher.kbps(0, 2));
    assert!(near(publisher.kbps(2, 2), 1_440, 12), "{}", publisher.kbps(2, 2));
    let option = publisher.option(2, 1).unwrap();
    assert_eq!((option.width, option.height, option.frames_per_second), (1_280, 720, 15));
}

#[test]
fn spatial_layers_add_up_and_may_be_off_on_demand() {
    let mut meter = LayerMeter::new(1);
    let mut now = origin();
    let mut send = |meter: &mut LayerMeter, frames: u32, spatial: u8| {
        for _ in 0..frames {
            for (s, bytes) in (0..=spatial).zip([400, 800, 2_000]) {
                let layer = LayerId { encoding: 0, spatial: s, temporal: 0 };
                meter.note(now, layer, bytes, true);
                meter.note(now, layer, bytes, false);
            }
            now += ms(40);
        }
        let mut options = Vec::new();
        meter.options(now, &mut options);
        (now, options)
    };
    let (now, options) = send(&mut meter, 100, 2);
    let kbps: Vec<_> = options.iter().map(|option| option.bitrate_bps / 1_000).collect();
    assert!(near(kbps[0], 160, 10) && near(kbps[1], 480, 10) && near(kbps[2], 1_280, 10));
    assert!(options.iter().all(|option| option.frames_per_second.abs_diff(25) <= 1));
    meter.set_wanted(now, &[true], 1);
    let (now, options) = send(&mut meter, 1_000, 1);
    assert!(near(options[2].bitrate_bps / 1_000, 1_280, 30), "{options:?}");
    meter.set_wanted(now, &[true], 2);
    let (_, options) = send(&mut meter, 100, 1);
    assert_eq!(options.len(), 2, "asked for, and not sent");
    let (_, options) = send(&mut meter, 5, 2);
    assert_eq!(options.len(), 3);
}

#[test]
fn sizes_are_told_or_follow_from_those_that_are() {
    let sizes = |told: &[(u8, u8, u16, u16)]| {
        let mut meter = LayerMeter::new(3);
        for &(encoding, spatial, width, height) in told {
            meter.set_size(encoding, spatial, width, height);
        }
        [meter.size(0, 0), meter.size(1, 0), meter.size(2, 0)]
    };
    assert_eq!(sizes(&[]), [(0, 0); 3]);
    let expected = [(320, 180), (640, 360), (1_280, 720)];
    assert_eq!(sizes(&[(2, 0, 1_280, 720)]), expected);
    assert_eq!(sizes(&[(0, 0, 320, 180)]), expected);
    assert_eq!(sizes(&[(1, 1, 1_280, 720)]), expected);
    assert_eq!(sizes(&[(0, 0, 300, 200), (2, 0, 900, 600)]), [(300, 200), (600, 400), (900, 600)]);
    assert_eq!(sizes(&[(0, 0, 40_000, 1)]), [(40_000, 1), (u16::MAX, 2), (u16::MAX, 4)]);
    let mut meter = LayerMeter::new(3);
    assert_eq!(meter.lowest(), 0);
    for (encoding, width) in [(0, 1_280), (1, 640), (2, 320)] {
        meter.set_size(encoding, 0, width, width / 16 * 9);
    }
    assert_eq!(meter.lowest(), 2, "the last may be the lowest");
}

#[test]
fn absurd_layers_are_ignored_or_counted_below() {
    let mut meter = LayerMeter::new(1);
    let now = origin();
    assert!(!meter.note(now, LayerId::lowest_of(200), 1_000, true));
    meter.set_size(200, 0, 1, 1);
    meter.set_size(0, 200, 1, 1);
    for spatial in 0..=255 {
        for temporal in 0..=255 {
            meter.note(now, LayerId { encoding: 0, spatial, temporal }, 1_000, true);
        }
    }
    let mut options = Vec::new();
    meter.options(now, &mut options);
    assert_eq!(options.len(), LAYERS_PER_ENCODING_MAX);
    assert!(LayerMeter::new(1_000).encodings.len() == ENCODINGS_MAX);
}
