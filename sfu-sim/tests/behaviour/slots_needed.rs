//! A client is told how many receiving m-lines it lacks, by kind, whenever that changes; once it
//! has them, everything flows.

use sfu_sim::{Plan, World};

use crate::common::{assert_flawless, audio, s, slots_told, video};

#[test]
fn the_numbers_follow_who_comes_and_goes() {
    let mut world = World::new(1);
    let room = world.create_room();
    let viewer = world.join(room, Plan::viewer().with_slots(0, 1));
    let first = world.join(room, Plan::publisher().with_slots(0, 0));
    world.join(room, Plan::publisher().with_slots(0, 0));
    world.run_for(s(1));
    assert_eq!(slots_told(&world, viewer).last(), Some(&(2, 1)));
    world.leave(first);
    assert_eq!(slots_told(&world, viewer).last(), Some(&(1, 0)));
    world.client_mut(viewer).add_slots(1, 0);
    world.offer(viewer).unwrap();
    assert_eq!(slots_told(&world, viewer).last(), Some(&(0, 0)));
    world.run_for(s(2));
    assert_flawless(&world, viewer);
    assert!(video(&world, viewer).frames > 40 && audio(&world, viewer).frames > 80);
}

#[test]
fn a_client_that_adds_what_it_lacks_gets_everything() {
    let mut world = World::new(2);
    let room = world.create_room();
    let clients: Vec<_> = (0..5).map(|_| world.join(room, Plan::publisher())).collect();
    world.run_for(s(3));
    for client in clients {
        assert_eq!(slots_told(&world, client).last(), Some(&(0, 0)));
        let carrying = world.client(client).receivers().filter(|r| r.carries().is_some());
        assert_eq!(carrying.count(), 8);
        assert_flawless(&world, client);
    }
}
