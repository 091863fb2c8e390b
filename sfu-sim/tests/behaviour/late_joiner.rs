//! A publisher's sequence numbers have wrapped by the time somebody joins: the newcomer's line
//! begins at rollover 0 all the same, and with a keyframe.

use sfu_sim::{Encoding, Plan, VideoPlan, World};

use crate::common::{assert_flawless, s, video};

#[test]
fn the_line_begins_at_rollover_zero_with_a_keyframe() {
    let mut world = World::new(1);
    let room = world.create_room();
    let encodings = vec![Encoding { rid: None, bits_per_second: 8_000_000 }];
    let plan = VideoPlan { encodings, first_sequence: Some(65_000), ..VideoPlan::default() };
    let camera = world.join(room, Plan::camera().with_video(plan));
    let early = world.join(room, Plan::viewer().with_slots(0, 1));
    world.run_for(s(80));
    let packets = world.client(camera).cameras().next().unwrap().published().packets;
    assert!(packets > 70_000, "{packets}");

    let late = world.join(room, Plan::viewer().with_slots(0, 1));
    world.run_for(s(5));
    for viewer in [early, late] {
        assert_flawless(&world, viewer);
        let receiver = world.client(viewer).receivers().next().unwrap();
        assert!(receiver.first_sequence().unwrap() < 32_768);
    }
    assert!(video(&world, early).packets > 70_000, "its own line has wrapped too");
    let quality = video(&world, late);
    assert!(quality.keyframes >= 1 && quality.frames > 30 * 4, "{quality:?}");
}
