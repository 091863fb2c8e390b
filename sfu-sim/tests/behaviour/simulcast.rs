//! Of several encodings the best that arrives is forwarded; when it stops, a lower one takes over
//! at a keyframe, on the same line.

use sfu_core::negotiation::MediaKind;
use sfu_sim::{ClientId, Plan, VideoPlan, World};

use crate::common::{assert_sound, ms, s, video};

fn encoding(world: &World, viewer: ClientId) -> Option<u8> {
    let mut receivers = world.client(viewer).receivers();
    let receiver = receivers.find(|receiver| receiver.kind() == MediaKind::Video)?;
    receiver.playing().map(|stamp| stamp.encoding)
}

fn set_top(world: &mut World, camera: ClientId, active: bool) {
    for camera in world.client_mut(camera).cameras_mut() {
        camera.set_encoding_active(2, active);
    }
}

#[test]
fn the_best_encoding_is_forwarded_and_a_lower_one_takes_over() {
    for seed in [1, 2, 3] {
        let mut world = World::new(seed);
        let room = world.create_room();
        let camera = world.join(room, Plan::camera().with_video(VideoPlan::simulcast()));
        let viewers: Vec<_> =
            (0..3).map(|_| world.join(room, Plan::viewer().with_slots(0, 1))).collect();
        world.run_for(s(5));
        for &viewer in &viewers {
            assert_eq!(encoding(&world, viewer), Some(2), "seed {seed}");
        }
        let before = video(&world, viewers[0]);
        assert!(before.longest_gap <= ms(150), "the way up has no gap: {before:?}");

        set_top(&mut world, camera, false);
        world.run_for(s(5));
        for &viewer in &viewers {
            assert_eq!(encoding(&world, viewer), Some(1), "seed {seed}");
            let quality = video(&world, viewer);
            assert!(quality.longest_gap <= ms(2_500), "seed {seed}: {quality:?}");
        }

        set_top(&mut world, camera, true);
        world.run_for(s(5));
        for &viewer in &viewers {
            assert_eq!(encoding(&world, viewer), Some(2), "seed {seed}");
            assert_sound(&world, viewer);
            let quality = video(&world, viewer);
            let faults = [quality.lost, quality.frames_undecodable, quality.undecodable_starts];
            assert_eq!(faults, [0; 3], "seed {seed}: {quality:?}");
            assert_eq!(quality.freezes_500, 1, "only that of the silent encoding: {quality:?}");
        }
    }
}
