//! A viewer that follows the first publisher of a room follows the next one once that has left.

use sfu_core::command::SubscribePolicy;
use sfu_sim::{Plan, World};

use crate::common::{assert_flawless, playing, s, source, video};

#[test]
fn the_next_publisher_is_followed_when_the_first_leaves() {
    let mut world = World::new(1);
    let room = world.create_room();
    let follow = Plan::viewer().with_slots(1, 1).subscribing(SubscribePolicy::FirstPublisher);
    let viewer = world.join(room, follow);
    world.run_for(s(1));
    assert_eq!(world.stats().subscriptions, 0, "nobody to follow yet");
    let publisher = || Plan::publisher().subscribing(SubscribePolicy::Manual);
    let first = world.join(room, publisher());
    let second = world.join(room, publisher());
    world.run_for(s(3));
    assert_eq!(playing(&world, viewer), Some(source(&world, first)));
    assert_eq!(world.stats().subscriptions, 2, "audio and video of one of the two");

    world.leave(first);
    world.run_for(s(3));
    assert_eq!(playing(&world, viewer), Some(source(&world, second)));
    assert_eq!(world.stats().subscriptions, 2);

    world.leave(second);
    world.run_for(s(1));
    assert_eq!(world.stats().subscriptions, 0);
    assert_flawless(&world, viewer);
    assert!(video(&world, viewer).frames > 30 * 4);
}

#[test]
fn a_viewer_of_one_participant_ignores_all_others() {
    let mut world = World::new(2);
    let room = world.create_room();
    let wanted = world.join(room, Plan::camera());
    world.join(room, Plan::camera());
    let policy = SubscribePolicy::Only(world.client(wanted).participant);
    let viewer = world.join(room, Plan::viewer().with_slots(0, 2).subscribing(policy));
    world.run_for(s(2));
    assert_eq!(world.stats().subscriptions, 1);
    assert_eq!(playing(&world, viewer), Some(source(&world, wanted)));
    assert_flawless(&world, viewer);
}
