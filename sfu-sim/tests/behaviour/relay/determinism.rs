//! One seed is one course of events, with several engines too.

use sfu_sim::{Conditions, Loss, Plan, VideoPlan, World};

use crate::common::{ms, s};

fn course(seed: u64) -> u64 {
    let mut world = World::spanning(seed, 3);
    let room = world.create_room();
    let rough = Conditions {
        duplicate: 0.01,
        reorder: 0.02,
        reorder_by: ms(15),
        ..Conditions::clean(ms(30)).with_loss(Loss::Random(0.03)).with_jitter(ms(10))
    };
    for _ in 0..5 {
        let plan = Plan::publisher().with_video(VideoPlan::simulcast());
        world.join(room, plan.with_up(rough.clone()).with_down(rough.clone()));
    }
    world.run_for(s(5));
    let leaver = world.join(room, Plan::viewer());
    world.run_for(s(2));
    world.leave(leaver);
    world.run_for(s(1));
    assert!(world.relayed().packets > 5_000, "something crossed: {:?}", world.relayed());
    world.hash()
}

#[test]
fn a_seed_gives_the_same_course_every_time_and_another_seed_another() {
    let first = course(7);
    assert_eq!(first, course(7));
    assert_ne!(first, course(8));
}
