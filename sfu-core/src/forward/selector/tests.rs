use std::time::Duration;

use super::*;
use crate::rtp::vp8::Descriptor;

/// Packets of VP8 with one packet a picture; and of audio.
struct Script {
    selector: Selector,
    now: Instant,
}

/// What a verdict is, without its edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Forward,
    Switch,
    Skip,
    Fill,
    Drop,
}

impl Script {
    fn aiming(target: LayerId) -> Self {
        let mut selector = Selector::default();
        selector.aim(Some(target));
        #[allow(clippy::disallowed_methods, reason = "any instant will do as an origin")]
        let now = Instant::now();
        Self { selector, now }
    }

    fn decide(&mut self, encoding: u8, epoch: u32, index: u64, info: &PayloadInfo) -> Is {
        let (now, timestamp) = (self.now, index as u32 * 3_000);
        let candidate = Candidate { now, encoding, epoch, index, late: false, timestamp, info };
        match self.selector.decide(&candidate) {
            Verdict::Forward(_) => Is::Forward,
            Verdict::Switch(_) => Is::Switch,
            Verdict::Skip => Is::Skip,
            Verdict::Fill => Is::Fill,
            Verdict::Drop => Is::Drop,
        }
    }

    /// Encoding, epoch, index, keyframe → verdict.
    fn check(&mut self, steps: &[(u8, u32, u64, bool, Is)]) {
        for &(encoding, epoch, index, key, want) in steps {
            let got = self.decide(encoding, epoch, index, &picture(index, None, key));
            assert_eq!(got, want, "encoding {encoding}, epoch {epoch}, index {index}");
        }
    }
}

fn picture(index: u64, temporal: Option<(u8, bool)>, key: bool) -> PayloadInfo {
    let descriptor =
        Descriptor { picture_id: Some((index as u16, true)), temporal, ..Descriptor::default() };
    PayloadInfo {
        keyframe_start: key,
        frame_start: true,
        temporal: temporal.map(|(layer, _)| layer),
        switch_up: temporal.is_some_and(|(_, sync)| sync),
        detail: Detail::Vp8(descriptor),
        ..PayloadInfo::default()
    }
}

use Is::{Drop, Fill, Forward, Skip, Switch};

#[test]
fn it_waits_for_a_keyframe_and_then_follows_the_encoding() {
    let mut script = Script::aiming(LayerId::all_of(0));
    assert_eq!(script.selector.waits_for_keyframe(), Some(0));
    script.check(&[(0, 0, 9, false, Drop), (0, 0, 10, true, Switch), (0, 0, 11, false, Forward)]);
    assert_eq!(script.selector.waits_for_keyframe(), None);
    script.check(&[(0, 0, 9, false, Drop), (0, 0, 13, false, Forward), (0, 0, 12, false, Forward)]);
}

#[test]
fn the_present_encoding_goes_on_until_the_target_can_be_switched_to() {
    let mut script = Script::aiming(LayerId::all_of(0));
    script.check(&[(0, 0, 10, true, Switch)]);
    script.selector.aim(Some(LayerId::all_of(2)));
    assert_eq!(script.selector.waits_for_keyframe(), Some(2));
    script.check(&[
        (2, 0, 500, false, Drop),
        (1, 0, 10, true, Drop),
        (0, 0, 11, false, Forward),
        (2, 0, 501, true, Switch),
        (0, 0, 12, true, Drop),
        (2, 0, 500, false, Drop),
        (2, 0, 502, false, Forward),
    ]);
    assert_eq!(script.selector.left(), Some((0, 0)));
    assert_eq!(script.selector.current(), Some(LayerId::lowest_of(2)));
}

#[test]
fn a_keyframe_whose_start_comes_late_is_no_place_to_switch() {
    let mut script = Script::aiming(LayerId::all_of(0));
    let info = picture(10, None, true);
    let now = script.now;
    let candidate =
        |late| Candidate { now, encoding: 0, epoch: 0, index: 10, late, timestamp: 0, info: &info };
    assert_eq!(script.selector.decide(&candidate(true)), Verdict::Drop);
    assert!(matches!(script.selector.decide(&candidate(false)), Verdict::Switch(_)));
}

#[test]
fn any_encoding_will_do_to_begin_with_or_when_the_present_one_is_silent() {
    let mut script = Script::aiming(LayerId::all_of(2));
    script.check(&[(0, 0, 10, true, Switch)]);
    assert_eq!(script.selector.waits_for_keyframe(), Some(2));
    script.now += SILENT_AFTER - Duration::from_millis(1);
    script.check(&[(1, 0, 10, true, Drop)]);
    script.now += Duration::from_millis(1);
    script.check(&[(1, 0, 11, true, Switch), (0, 0, 11, true, Drop)]);
}

#[test]
fn a_source_that_begins_again_needs_a_new_keyframe() {
    let mut script = Script::aiming(LayerId::all_of(0));
    script.check(&[
        (0, 0, 10, true, Switch),
        (0, 1, 700, false, Drop),
        (0, 1, 701, true, Switch),
        (0, 1, 702, false, Forward),
    ]);
}

#[test]
fn a_pause_begins_with_the_next_picture_and_ends_with_a_keyframe() {
    let mut script = Script::aiming(LayerId::all_of(0));
    script.check(&[(0, 0, 10, true, Switch)]);
    script.selector.aim(None);
    let rest = PayloadInfo { frame_start: false, ..picture(11, None, false) };
    assert_eq!(script.decide(0, 0, 11, &rest), Forward, "the rest of a picture");
    script.check(&[(0, 0, 12, false, Drop), (0, 0, 13, true, Drop)]);
    assert_eq!((script.selector.current(), script.selector.waits_for_keyframe()), (None, None));
    script.selector.aim(Some(LayerId::all_of(0)));
    assert_eq!(script.selector.waits_for_keyframe(), Some(0));
    script.check(&[(0, 0, 14, false, Drop), (0, 0, 15, true, Switch)]);
}

#[test]
fn temporal_layers_go_down_at_once_and_up_layer_by_layer() {
    let layer = |temporal| LayerId { encoding: 0, spatial: 0, temporal };
    let mut script = Script::aiming(layer(2));
    let step = |script: &mut Script, index, temporal, sync, want| {
        let key = index == 10;
        let got = script.decide(0, 0, index, &picture(index, Some((temporal, sync)), key));
        assert_eq!(got, want, "index {index}");
    };
    step(&mut script, 10, 0, false, Switch);
    step(&mut script, 11, 2, true, Forward);
    step(&mut script, 12, 1, true, Forward);
    script.selector.aim(Some(layer(0)));
    step(&mut script, 13, 2, false, Skip);
    step(&mut script, 14, 0, false, Forward);
    step(&mut script, 16, 1, true, Skip);
    // Late: 15 is of a layer that was not forwarded any more.
    step(&mut script, 15, 2, true, Fill);
    script.selector.aim(Some(layer(2)));
    assert_eq!(script.selector.waits_for_keyframe(), None);
    step(&mut script, 17, 2, true, Skip);
    step(&mut script, 18, 0, false, Forward);
    step(&mut script, 19, 1, false, Skip);
    step(&mut script, 20, 1, true, Forward);
    step(&mut script, 21, 2, false, Skip);
    step(&mut script, 22, 2, true, Forward);
    assert_eq!(script.selector.current(), Some(layer(2)));
}

#[test]
fn audio_begins_anywhere() {
    let mut script = Script::aiming(LayerId::all_of(0));
    let info = PayloadInfo { detail: Detail::Audio, ..PayloadInfo::default() };
    assert_eq!(script.decide(0, 0, 70, &info), Switch);
    assert_eq!(script.decide(0, 0, 72, &info), Forward);
    assert_eq!(script.decide(0, 0, 71, &info), Forward);
    assert_eq!(script.decide(0, 1, 7, &info), Switch, "a source that begins again");
}

#[test]
fn what_was_sent_is_worth_what_is_still_built_on_it() {
    let part = |spatial, temporal| {
        let (spatial, temporal) = (Some(spatial), Some(temporal));
        Part::of(&PayloadInfo { spatial, temporal, ..PayloadInfo::default() })
    };
    let mut script = Script::aiming(LayerId { encoding: 1, spatial: 7, temporal: 2 });
    let worth = |script: &Script, encoding, epoch, index, spatial, temporal| {
        script.selector.worth(encoding, epoch, index, part(spatial, temporal))
    };
    assert_eq!(worth(&script, 1, 0, 9, 0, 0), Worth::Needed, "nothing is forwarded");
    script.check(&[(1, 0, 10, true, Switch), (1, 0, 11, false, Forward)]);
    assert_eq!(worth(&script, 1, 0, 11, 2, 2), Worth::Needed);
    assert_eq!(worth(&script, 0, 0, 11, 0, 0), Worth::Spent, "of another encoding");
    assert_eq!(worth(&script, 1, 1, 11, 0, 0), Worth::Spent, "of another sequence");
    // Down to the lowest layer, and then a keyframe.
    let following = script.selector.following.as_mut().unwrap();
    following.choices.push((12, Choice::default()));
    assert_eq!(worth(&script, 1, 0, 11, 1, 0), Worth::Left, "its picture is incomplete without");
    assert_eq!(worth(&script, 1, 0, 11, 0, 1), Worth::Needed, "the layer may be taken up again");
    script.check(&[(1, 0, 13, true, Forward)]);
    let following = script.selector.following.as_mut().unwrap();
    following.choices.push((13, Choice::default()));
    assert_eq!(worth(&script, 1, 0, 11, 1, 0), Worth::Spent, "a keyframe came behind it");
    assert_eq!(worth(&script, 1, 0, 14, 1, 0), Worth::Left);
}
