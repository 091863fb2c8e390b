//! Scenarios about what subscribers' links carry: selection, allocation, first pictures, and those
//! who would disturb them.

use std::time::Duration;

use sfu_core::negotiation::Codec;
use sfu_core::preference::Preference;

use super::Measure::{
    AudioArrived, EmptySeconds, FirstFrame, FramesUndecodable, Freezes500, KeyframeRequestSpacing,
    LongestFreeze, NarrowAfter, Received, SwitchGapP99, Switches, Violations, WideAfter, Width,
};
use super::catalogue::{ms, s};
use super::{Deed, Party, Scenario, What, at_least, at_most, percentile};
use crate::client::layers::Layering;
use crate::link::{Conditions, LinkPlan, Rate};
use crate::plan::{Encoding, Feedback, Plan, VideoPlan};

/// Every scenario of this file.
pub(super) fn all() -> Vec<Scenario> {
    let mut all = vec![nine_tiles(), throttle(Throttled::Simulcast)];
    all.extend([throttle(Throttled::Vp9), throttle(Throttled::Av1), surge()]);
    all.extend([first_frame(), two_hundred_joiners(), keyframe_flood(), nack_storm(), nonsense()]);
    all.extend(switches());
    all
}

/// A camera in three encodings that sends what is wanted.
fn camera() -> Plan {
    Plan::camera().with_video(VideoPlan::simulcast())
}

fn viewer() -> Plan {
    Plan::viewer().with_feedback(Feedback::BROWSER)
}

/// A link with a queue of 200 ms.
fn link(kbit: u64) -> Conditions {
    Conditions::clean(ms(20)).with_rate(Rate::kbit(kbit, 200))
}

fn once(who: &'static str, from: Duration, what: What) -> Deed {
    Deed { who, from, again: None, what }
}

fn nine_tiles() -> Scenario {
    let video = VideoPlan::simulcast();
    let person = Plan::publisher().with_video(video).with_feedback(Feedback::BROWSER);
    let tile = Preference { max_size: Some((320, 180)), ..Preference::default() };
    let pinned = Preference { pinned: true, max_size: Some((1280, 720)), ..tile };
    Scenario {
        parties: vec![
            Party::new("pinned", 1, person.clone()),
            Party::new("others", 8, person),
            Party::new("thin", 1, viewer().with_down(link(1_500))),
        ],
        deeds: vec![
            once("thin", s(2), What::Prefer("pinned", pinned)),
            once("thin", s(2), What::Prefer("others", tile)),
        ],
        checks: vec![
            at_most("thin", Freezes500, 0.0),
            at_least("thin", AudioArrived, 99.5),
            at_least("thin", Width("pinned"), 640.0),
            at_most("thin", Violations, 0.0),
            at_most("others", Freezes500, 0.0),
            at_most("others", EmptySeconds, 0.0),
        ],
        pending: true,
        ..Scenario::new(
            "nine-tiles",
            "nine cameras on a downlink of 1.5 Mbit/s, one of them pinned",
            s(300),
        )
    }
}

#[derive(Clone, Copy)]
enum Throttled {
    Simulcast,
    Vp9,
    Av1,
}

fn throttle(which: Throttled) -> Scenario {
    let (name, camera, kbit) = match which {
        Throttled::Simulcast => ("throttle-vp8", camera(), 1_350.0),
        // Of k-SVC the lower spatial layers come in keyframes only.
        Throttled::Vp9 => ("throttle-vp9", layered(Codec::Vp9, Layering::key(3, 3)), 850.0),
        Throttled::Av1 => ("throttle-av1", layered(Codec::Av1, Layering::new(3, 3)), 1_350.0),
    };
    let down = LinkPlan::from(link(2_500)).then(s(20), link(600)).then(s(40), link(2_500));
    Scenario {
        parties: vec![
            Party::new("camera", 1, camera),
            Party::new("thin", 1, viewer().with_slots(0, 1).with_down(down)),
            Party::new("wide", 1, viewer().with_slots(0, 1)),
        ],
        checks: vec![
            at_least("thin", Received(10, 20), kbit),
            at_most("thin", NarrowAfter("camera", 20, 640), 2.0),
            at_most("thin", WideAfter("camera", 40, 1280), 8.0),
            at_most("thin", LongestFreeze, 500.0),
            at_most("thin", EmptySeconds, 0.0),
            at_most("thin", FramesUndecodable, 0.0),
            at_most("thin", Violations, 0.0),
            at_most("wide", Freezes500, 0.0),
        ],
        ..Scenario::new(name, "a downlink of 2.5, then 0.6, then again 2.5 Mbit/s", s(60))
    }
}

fn layered(codec: Codec, layering: Layering) -> Plan {
    Plan::camera().with_video(VideoPlan::layered(codec, layering))
}

/// Where there is room for all of it, from 2.5 to 25 Mbit/s within 2.5 s, and to 60 Mbit/s: more than
/// an estimate follows by itself, and more than is ever estimated.
fn surge() -> Scenario {
    let encodings = vec![Encoding { rid: None, bits_per_second: 2_500_000 }];
    let rates = [(8_000, 200), (8_700, 400), (9_400, 800), (10_100, 1_000), (26_000, 2_400)];
    let rates = rates.map(|(at, percent)| (ms(at), percent)).to_vec();
    let video = VideoPlan { encodings, rates, keyframe_factor: 3, ..VideoPlan::default() };
    let near = |kbit| Conditions::clean(ms(1)).with_rate(Rate::kbit(kbit, 100));
    let down = LinkPlan::from(near(1_000_000)).with_spell(s(16), s(18), near(10_000));
    let viewer = viewer().with_slots(0, 1).with_up(Conditions::clean(ms(1))).with_down(down);
    Scenario {
        parties: vec![
            Party::new("camera", 1, Plan::camera().with_video(video)),
            Party::new("viewer", 4, viewer),
        ],
        checks: vec![
            at_least("viewer", Received(12, 16), 25_000.0),
            at_least("viewer", Received(22, 25), 25_000.0),
            at_most("viewer", WideAfter("camera", 18, 1280), 3.0),
            at_least("viewer", Received(28, 35), 60_000.0),
            at_most("viewer", LongestFreeze, 500.0),
            at_most("viewer", EmptySeconds, 3.0),
            at_most("viewer", Violations, 0.0),
        ],
        ..Scenario::new("surge", "one layer grows tenfold in two seconds, with room for it", s(35))
    }
}

/// Round-trip times of 60 and 40 ms: the newcomer's picture needs signalling and connecting
/// first, which the bound does not count; see [`FIRST_FRAME_SETUP`].
fn first_frame() -> Scenario {
    Scenario {
        parties: vec![
            Party::new("camera", 1, camera().at_distance(ms(30))),
            Party::new("viewer", 1, viewer().with_slots(0, 1)),
            Party::new("newcomer", 20, viewer().with_slots(0, 1).at_distance(ms(20)))
                .coming(s(5), ms(730)),
        ],
        checks: vec![
            percentile(50, "newcomer", FirstFrame, FIRST_FRAME_SETUP + 40.0 + 60.0 + 33.4 + 30.0),
            at_most("newcomer", Violations, 0.0),
            at_most("viewer", Freezes500, 0.0),
        ],
        ..Scenario::new("first-frame", "newcomers in a live room, one after the other", s(25))
    }
}

/// From joining to being connected: one check there and back.
const FIRST_FRAME_SETUP: f64 = 40.0;

fn two_hundred_joiners() -> Scenario {
    Scenario {
        parties: vec![
            Party::new("camera", 1, camera().at_distance(ms(30))),
            Party::new("newcomer", 200, viewer().with_slots(0, 1).at_distance(ms(20)))
                .coming(s(5), ms(10)),
        ],
        checks: vec![
            percentile(50, "newcomer", FirstFrame, 700.0),
            percentile(95, "newcomer", FirstFrame, 1_000.0),
            at_least("camera", KeyframeRequestSpacing, 500.0),
            at_most("newcomer", Violations, 0.0),
        ],
        ..Scenario::new("joiners", "two hundred join a live room within two seconds", s(12))
    }
}

/// A thousand changes of layer for each codec: 170 of each of six viewers.
fn switches() -> [Scenario; 6] {
    let simulcast = |codec| {
        let layering = if codec == Codec::Vp8 { 3 } else { 1 };
        let video = VideoPlan::simulcast().with_codec(codec);
        Plan::camera().with_video(video.with_layering(Layering::new(1, layering)))
    };
    let scenario = |name, about, camera: Plan| Scenario {
        parties: vec![
            Party::new("camera", 1, camera),
            // Somebody always wants everything, so that all layers keep coming.
            Party::new("steady", 1, viewer().with_slots(0, 1)),
            Party::new("fickle", 6, viewer().with_slots(0, 1)),
        ],
        deeds: vec![Deed {
            who: "fickle",
            from: s(3),
            again: Some((400, ms(1_210))),
            what: What::Shuffle("camera"),
        }],
        checks: vec![
            at_most("fickle", FramesUndecodable, 0.0),
            at_most("fickle", SwitchGapP99(3), 2.0),
            at_least("fickle", Switches, 170.0),
            at_most("fickle", Violations, 0.0),
            at_most("steady", EmptySeconds, 0.0),
            at_most("steady", Violations, 0.0),
        ],
        ..Scenario::new(name, about, s(490))
    };
    [
        scenario("switch-vp8", "random qualities, VP8 in 3 encodings, L1T3", simulcast(Codec::Vp8)),
        scenario("switch-h264", "random qualities, H.264 in 3 encodings", simulcast(Codec::H264)),
        scenario(
            "switch-vp9",
            "random qualities, VP9 L3T3",
            layered(Codec::Vp9, Layering::new(3, 3)),
        ),
        scenario(
            "switch-vp9-key",
            "random qualities, VP9 L3T3_KEY",
            layered(Codec::Vp9, Layering::key(3, 3)),
        ),
        scenario(
            "switch-av1",
            "random qualities, AV1 L3T3",
            layered(Codec::Av1, Layering::new(3, 3)),
        ),
        scenario(
            "switch-av1-key",
            "random qualities, AV1 L3T3_KEY",
            layered(Codec::Av1, Layering::key(3, 3)),
        ),
    ]
}

fn disturbed(name: &'static str, about: &'static str, viewers: usize, deed: Deed) -> Scenario {
    Scenario {
        parties: vec![
            Party::new("camera", 1, Plan::publisher()),
            Party::new("bad", viewers, viewer()),
            Party::new("good", 3, viewer()),
        ],
        deeds: vec![deed],
        checks: vec![
            at_most("good", Freezes500, 0.0),
            at_most("good", EmptySeconds, 0.0),
            at_most("good", Violations, 0.0),
            at_least("good", AudioArrived, 100.0),
            at_least("camera", KeyframeRequestSpacing, 500.0),
        ],
        ..Scenario::new(name, about, s(15))
    }
}

fn keyframe_flood() -> Scenario {
    let deed = Deed { who: "bad", from: s(4), again: Some((500, ms(20))), what: What::Keyframes };
    disturbed("pli-flood", "two hundred ask for keyframes fifty times a second", 200, deed)
}

fn nack_storm() -> Scenario {
    let deed =
        Deed { who: "bad", from: s(4), again: Some((1_000, ms(10))), what: What::Nacks(400) };
    disturbed("nack-storm", "five ask for everything again, all the time", 5, deed)
}

fn nonsense() -> Scenario {
    let deed = Deed { who: "bad", from: s(4), again: Some((500, ms(20))), what: What::Nonsense };
    disturbed("nonsense", "five send feedback that makes no sense", 5, deed)
}
