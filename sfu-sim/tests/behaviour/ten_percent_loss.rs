//! One subscriber loses every tenth datagram: it sees nearly every frame all the same, and nobody
//! else notices.

use std::time::Duration;

use sfu_sim::{Conditions, LinkPlan, Loss, Plan, Quality, World};

use crate::common::{assert_flawless, assert_sound, ms, s, video};

/// One publisher and four viewers, the last of them lossy or not. What each viewer saw.
fn call(seed: u64, delay: Duration, loss: Loss) -> Vec<Quality> {
    let mut world = World::new(seed);
    let room = world.create_room();
    world.join(room, Plan::camera().at_distance(delay));
    let viewer = Plan::viewer().with_slots(0, 1).at_distance(delay);
    let mut viewers: Vec<_> = (0..3).map(|_| world.join(room, viewer.clone())).collect();
    // From the second second on, so that everybody joins at the same time in either case.
    let lossy = Conditions::clean(delay).with_loss(loss);
    let down = LinkPlan::from(Conditions::clean(delay)).with_spell(s(1), s(60), lossy);
    viewers.push(world.join(room, viewer.with_down(down)));
    world.run_for(s(30));
    for &clean in &viewers[..3] {
        assert_flawless(&world, clean);
    }
    assert_sound(&world, viewers[3]);
    viewers.iter().map(|&viewer| video(&world, viewer)).collect()
}

#[test]
fn ninety_nine_in_a_hundred_frames_come_complete_and_nobody_else_notices() {
    for (seed, delay) in [(1, ms(25)), (2, ms(50)), (3, ms(40))] {
        let with = call(seed, delay, Loss::Random(0.1));
        let without = call(seed, delay, Loss::None);
        assert_eq!(with[..3], without[..3], "seed {seed}");
        let lossy = &with[3];
        assert!(lossy.repaired > lossy.packets / 12, "there was loss to repair: {lossy:?}");
        assert!(lossy.completeness() >= 0.99, "seed {seed}: {lossy:?}");
        assert_eq!(lossy.freezes_500, 0, "seed {seed}: {lossy:?}");
        println!(
            "10 % loss, RTT {} ms: {:.2} % of frames complete, {} late, {} freezes > 200 ms",
            delay.as_millis() * 2,
            lossy.completeness() * 100.0,
            lossy.frames_late,
            lossy.freezes_200,
        );
    }
}

#[test]
fn who_asks_only_once_is_sent_again_what_was_lost_again() {
    for seed in 1..=3 {
        let mut world = World::new(seed);
        let room = world.create_room();
        world.join(room, Plan::camera());
        let lossy = Conditions::clean(ms(25)).with_loss(Loss::Random(0.1));
        let down = LinkPlan::from(Conditions::clean(ms(25))).with_spell(s(1), s(60), lossy);
        let viewer = world.join(room, Plan::viewer().with_slots(0, 1).with_down(down));
        world.run_for(s(1));
        for receiver in world.client_mut(viewer).receivers_mut() {
            receiver.set_asks_once(true);
        }
        world.run_for(s(29));
        let seen = video(&world, viewer);
        assert!(seen.repaired > seen.packets / 12, "there was loss to repair: {seen:?}");
        assert_eq!((seen.plis, seen.freezes_500), (0, 0), "seed {seed}: {seen:?}");
        assert_sound(&world, viewer);
    }
}
