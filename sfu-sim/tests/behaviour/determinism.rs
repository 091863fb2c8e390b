//! One seed is one course of events; another seed is another.

use sfu_sim::{Conditions, Loss, Plan, World};

use crate::common::{ms, s};

fn course(seed: u64) -> u64 {
    let mut world = World::new(seed);
    let room = world.create_room();
    let rough = Conditions {
        duplicate: 0.01,
        reorder: 0.02,
        reorder_by: ms(15),
        ..Conditions::clean(ms(30)).with_loss(Loss::Random(0.03)).with_jitter(ms(10))
    };
    for _ in 0..4 {
        world.join(room, Plan::publisher().with_up(rough.clone()).with_down(rough.clone()));
    }
    world.run_for(s(5));
    let leaver = world.join(room, Plan::viewer());
    world.run_for(s(2));
    world.leave(leaver);
    world.run_for(s(1));
    assert!(world.delivered > 10_000, "something happened: {}", world.delivered);
    world.hash()
}

#[test]
fn a_seed_gives_the_same_course_every_time() {
    assert_eq!(course(7), course(7));
}

#[test]
fn another_seed_gives_another_course() {
    assert_ne!(course(7), course(8));
}
