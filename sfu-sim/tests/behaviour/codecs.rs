//! Cameras of every codec with all their layers: whatever is forwarded, receivers find it whole and
//! decodable, by the publisher's word and by the codec's own account.

use sfu_core::negotiation::Codec;
use sfu_sim::{Conditions, Layering, LinkPlan, Loss, Plan, VideoPlan, World};

use crate::common::{assert_flawless, assert_sound, ms, s, video};

/// Codecs with the layers that browsers send.
fn cameras() -> Vec<VideoPlan> {
    let single = [Codec::Vp8, Codec::H264].into_iter().flat_map(|codec| {
        (1..=3).map(move |temporal| VideoPlan::layered(codec, Layering::new(1, temporal)))
    });
    let layered = [Codec::Vp9, Codec::Av1].into_iter().flat_map(|codec| {
        let layerings = [
            Layering::new(1, 1),
            Layering::new(1, 3),
            Layering::new(2, 1),
            Layering::new(3, 3),
            Layering::key(3, 3),
            Layering::new(3, 3).crossing(),
        ];
        layerings.map(|layering| VideoPlan::layered(codec, layering))
    });
    let crossing = VideoPlan::layered(Codec::Vp8, Layering::new(1, 3).crossing());
    let described = VideoPlan {
        dependency_descriptor: true,
        ..VideoPlan::layered(Codec::H264, Layering::new(1, 3))
    };
    single.chain(layered).chain([crossing, described]).collect()
}

#[test]
fn every_codec_and_layering_is_seen_whole() {
    for (seed, camera) in (1..).zip(cameras()) {
        let mut world = World::new(seed);
        let room = world.create_room();
        let publisher = world.join(room, Plan::camera().with_video(camera.clone()));
        let viewer = world.join(room, Plan::viewer().with_slots(0, 1));
        world.run_for(s(6));
        let quality = video(&world, viewer);
        assert_eq!(quality.violations, [], "{camera:?}");
        assert_flawless(&world, viewer);
        assert!(quality.frames >= 30 * 5 - 5, "{camera:?}: {quality:?}");
        let shown = world.client(viewer).receivers().find_map(|receiver| receiver.showing());
        assert_eq!(shown.map(|shown| shown.width), Some(1280), "{camera:?}");
        let published = world.client(publisher).cameras().next().unwrap().published();
        assert!(published.keyframes <= 5, "{camera:?}: {published:?}");
    }
}

#[test]
fn losses_are_repaired_in_every_codec() {
    for (seed, camera) in (1..).zip(cameras()) {
        let mut world = World::new(seed);
        let room = world.create_room();
        world.join(room, Plan::camera().with_video(camera.clone()));
        let lossy = Conditions::clean(ms(20)).with_loss(Loss::Random(0.05));
        let down = LinkPlan::from(Conditions::default()).then(s(1), lossy);
        let viewer = world.join(room, Plan::viewer().with_slots(0, 1).with_down(down));
        world.run_for(s(8));
        let quality = video(&world, viewer);
        assert_sound(&world, viewer);
        assert!(quality.completeness() > 0.98, "{camera:?}: {quality:?}");
        assert!(quality.repaired > 10, "{camera:?}: {quality:?}");
    }
}
