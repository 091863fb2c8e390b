//! What the network doubles or reorders on the way in goes out once, and in its place.

use sfu_core::drops::DropReason;
use sfu_sim::{Conditions, Plan, World};

use crate::common::{assert_flawless, ms, s, video};

#[test]
fn doubled_packets_are_forwarded_once() {
    let mut world = World::new(1);
    let room = world.create_room();
    let doubling = Conditions { duplicate: 0.5, ..Conditions::default() };
    let camera = world.join(room, Plan::publisher().with_up(doubling));
    let viewer = world.join(room, Plan::viewer());
    world.run_for(s(10));
    assert_flawless(&world, viewer);
    assert!(video(&world, viewer).frames > 30 * 9);
    let doubled = world.links(camera).0.counts.duplicated;
    let dropped = world.drops(DropReason::Duplicate);
    assert!(dropped > 300 && dropped <= doubled, "{dropped} of {doubled}");
}

#[test]
fn reordered_packets_keep_their_numbers() {
    let mut world = World::new(2);
    let room = world.create_room();
    let reorder_by = ms(4);
    let shuffling = Conditions { reorder: 0.1, reorder_by, ..Conditions::default() };
    world.join(room, Plan::camera().with_up(shuffling));
    let viewer = world.join(room, Plan::viewer().with_slots(0, 1));
    world.run_for(s(10));
    assert_flawless(&world, viewer);
    let quality = video(&world, viewer);
    assert!(quality.frames > 30 * 9, "{quality:?}");
    assert_eq!(quality.nacked, 0, "4 ms are within everyone's patience");
}
