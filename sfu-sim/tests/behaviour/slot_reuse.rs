//! A receiving m-line carries one participant after another without a new offer, on one SSRC
//! whose sequence numbers and timestamps go on as if nothing had happened.

use sfu_sim::{Plan, World};

use crate::common::{assert_flawless, playing, s, slots_told, source, video};

#[test]
fn an_m_line_is_passed_on_without_an_offer() {
    let mut world = World::new(1);
    let room = world.create_room();
    let mut cameras: Vec<_> = (0..4).map(|_| world.join(room, Plan::camera())).collect();
    let viewer = world.join(room, Plan::viewer().with_slots(0, 1));
    world.run_for(s(3));
    let ssrc = world.client(viewer).receivers().next().unwrap().ssrc();
    assert_eq!(slots_told(&world, viewer), [(0, 3)]);
    while !cameras.is_empty() {
        let carried = playing(&world, viewer).unwrap();
        let at = cameras.iter().position(|&camera| source(&world, camera) == carried).unwrap();
        world.leave(cameras.remove(at));
        world.run_for(s(3));
    }
    assert_flawless(&world, viewer);
    assert!(video(&world, viewer).frames > 4 * 30 * 2, "{:?}", video(&world, viewer));
    let receiver = world.client(viewer).receivers().next().unwrap();
    assert_eq!(receiver.ssrc(), ssrc);
    assert_eq!(receiver.carries(), None);
    assert_eq!(slots_told(&world, viewer), [(0, 3), (0, 2), (0, 1), (0, 0)]);
}
