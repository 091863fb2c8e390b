use super::*;
use crate::rtp::vp9;

/// A stream of VP9 pictures with one packet for each spatial layer.
struct Script {
    layers: Layers,
    choice: Choice,
    want: Want,
    index: u64,
}

fn frame(spatial: u8, temporal: u8, key: bool, apart: bool) -> PayloadInfo {
    let layer = vp9::Layer {
        temporal,
        switching_up: temporal > 0,
        spatial,
        inter_layer: spatial > 0 && (key || !apart),
    };
    let descriptor = vp9::Descriptor {
        inter_predicted: !key,
        flexible: true,
        layer_frame_start: true,
        layer_frame_end: true,
        not_for_upper_layers: apart && !key,
        layer: Some(layer),
        layers_apart: apart,
        ..vp9::Descriptor::default()
    };
    PayloadInfo {
        keyframe_start: key && spatial == 0,
        frame_start: spatial == 0,
        frame_end: true,
        spatial: Some(spatial),
        temporal: Some(temporal),
        switch_up: temporal > 0,
        detail: Detail::Vp9(descriptor),
        ..PayloadInfo::default()
    }
}

impl Script {
    fn new(want: Want) -> Self {
        let info = frame(0, 0, true, false);
        let (layers, choice) =
            Layers::begin(Packet { index: 0, in_order: true, info: &info }, want);
        Self { layers, choice, want, index: 0 }
    }

    /// Which of the spatial layers of a picture are forwarded.
    fn picture(&mut self, spatial: u8, key: bool, apart: bool) -> Vec<u8> {
        (0..spatial)
            .filter(|&spatial| {
                self.index += 1;
                let info = frame(spatial, 0, key, apart);
                let packet = Packet { index: self.index, in_order: true, info: &info };
                if spatial == 0 {
                    self.choice = self.layers.choose(packet, self.choice, self.want);
                }
                self.layers.wants(packet, self.choice)
            })
            .collect()
    }

    fn needs_keyframe(&self) -> bool {
        self.layers.needs_keyframe(self.choice, self.want)
    }
}

#[test]
fn spatial_layers_go_down_at_any_picture_and_up_at_keyframes() {
    let mut script = Script::new((2, 0));
    assert_eq!(script.picture(3, true, false), [0, 1, 2]);
    script.want = (1, 0);
    assert_eq!(script.picture(3, false, false), [0, 1]);
    script.want = (2, 0);
    assert_eq!(script.picture(3, false, false), [0, 1]);
    assert!(script.needs_keyframe());
    assert_eq!(script.picture(3, true, false), [0, 1, 2]);
    assert!(!script.needs_keyframe());
}

#[test]
fn a_layer_that_the_publisher_adds_is_taken_up_without_a_keyframe() {
    let mut script = Script::new((0, 0));
    assert_eq!(script.picture(1, true, false), [0]);
    assert_eq!(script.picture(1, false, false), [0]);
    // Nothing of the layer was left out so far.
    script.want = (2, 0);
    assert_eq!(script.picture(2, false, false), [0, 1]);
    assert!(!script.needs_keyframe());
}

#[test]
fn where_layers_stay_apart_the_highest_comes_alone_between_keyframes() {
    let mut script = Script::new((1, 0));
    assert_eq!(script.picture(3, true, true), [0, 1]);
    assert_eq!(script.picture(3, false, true), [1]);
    assert!(!script.needs_keyframe());
    script.want = (0, 0);
    assert_eq!(script.picture(3, false, true), [1], "what is below was left out");
    assert!(script.needs_keyframe());
    assert_eq!(script.picture(3, true, true), [0]);
    assert_eq!(script.picture(3, false, true), [0]);
}

#[test]
fn a_layer_that_was_taken_back_is_lacking() {
    for (taken_back, wanted) in [(false, vec![0, 1, 2]), (true, vec![0])] {
        let mut script = Script::new((2, 0));
        assert_eq!(script.picture(3, true, false), [0, 1, 2]);
        script.want = (0, 0);
        // A picture that has nothing of the layers that are left here.
        assert_eq!(script.picture(1, false, false), [0]);
        if taken_back {
            script.layers.take_back(script.choice);
        }
        script.want = (2, 0);
        assert_eq!(script.picture(3, false, false), wanted);
        assert_eq!(script.needs_keyframe(), taken_back);
    }
}

#[test]
fn a_layer_forwarded_alone_that_ends_needs_a_keyframe() {
    let mut script = Script::new((7, 0));
    assert_eq!(script.picture(3, true, true), [0, 1, 2]);
    assert_eq!(script.picture(3, false, true), [2]);
    let pictures = (0..20).take_while(|_| {
        assert!(script.picture(2, false, true).is_empty());
        !script.needs_keyframe()
    });
    assert_eq!(pictures.count(), 8);
    assert_eq!(script.picture(2, true, true), [0, 1]);
    assert!(!script.needs_keyframe());
}

#[test]
fn another_codec_begins_with_its_keyframe() {
    let mut script = Script::new((0, 0));
    assert_eq!(script.picture(3, true, false), [0]);
    let info = PayloadInfo { keyframe_start: true, frame_start: true, ..PayloadInfo::default() };
    let packet = Packet { index: 99, in_order: true, info: &info };
    let choice = script.layers.choose(packet, script.choice, (0, 0));
    assert!(matches!(script.layers.kind, Kind::Flat));
    assert!(script.layers.wants(packet, choice));
}
