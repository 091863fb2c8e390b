//! A camera whose uplink is too thin for all its encodings stops the upper ones, and sends them
//! again once there is room; others on the same bottleneck get their share.

use sfu_sim::cross::Cross;
use sfu_sim::link::Rate;
use sfu_sim::{BottleneckId, Conditions, Layering, LinkPlan, Plan, VideoPlan, World};

use crate::common::{ms, s};

fn sending(world: &World, camera: sfu_sim::ClientId) -> Vec<bool> {
    world.client(camera).cameras().next().unwrap().sending().collect()
}

fn thin(kbit: u64) -> Conditions {
    Conditions::clean(ms(20)).with_rate(Rate::kbit(kbit, 300))
}

#[test]
fn upper_encodings_stop_and_come_back() {
    for seed in [1, 2] {
        let mut world = World::new(seed);
        let room = world.create_room();
        let up = LinkPlan::from(thin(4_000)).then(s(5), thin(1_100)).then(s(15), thin(4_000));
        let video = VideoPlan { adapts: true, follows_demand: false, ..VideoPlan::simulcast() };
        let camera = world.join(room, Plan::camera().with_video(video).with_up(up));
        world.join(room, Plan::viewer().with_slots(0, 1));
        world.run_for(s(5));
        assert_eq!(sending(&world, camera), [true; 3], "seed {seed}");
        world.run_for(s(5));
        assert_eq!(sending(&world, camera), [true, true, false], "seed {seed}");
        world.run_for(s(25));
        assert_eq!(sending(&world, camera), [true; 3], "seed {seed}");
    }
}

#[test]
fn upper_spatial_layers_stop_and_come_back() {
    let mut world = World::new(3);
    let room = world.create_room();
    let up = LinkPlan::from(thin(4_000)).then(s(5), thin(1_100)).then(s(15), thin(4_000));
    let video = VideoPlan::layered(sfu_core::negotiation::Codec::Vp9, Layering::new(3, 1));
    let video = VideoPlan { adapts: true, follows_demand: false, ..video };
    let camera = world.join(room, Plan::camera().with_video(video).with_up(up));
    world.join(room, Plan::viewer().with_slots(0, 1));
    let layers = |world: &World| world.client(camera).cameras().next().unwrap().spatial_layers(0);
    world.run_for(s(5));
    assert_eq!(layers(&world), 3);
    world.run_for(s(5));
    assert_eq!(layers(&world), 2);
    world.run_for(s(25));
    assert_eq!(layers(&world), 3);
}

#[test]
fn what_shares_a_bottleneck_shares_its_capacity() {
    let mut world = World::new(4);
    let through = world.add_bottleneck(&[(s(0), Rate::kbit(4_000, 200))]);
    assert_eq!(through, BottleneckId::nth(0));
    let bulk = world.add_cross(through, Cross::Tcp(ms(40)), s(2), s(22));
    let room = world.create_room();
    let up = LinkPlan::from(Conditions::clean(ms(20))).through(through);
    let cameras: Vec<_> =
        (0..2).map(|_| world.join(room, Plan::camera().with_up(up.clone()))).collect();
    world.run_for(s(22));
    let mbit = world.crossed(bulk) as f64 * 8.0 / 20e6;
    assert!((0.8..2.2).contains(&mbit), "{mbit} Mbit/s beside two cameras of 1 Mbit/s");
    for camera in cameras {
        let counts = world.links(camera).0.counts;
        assert!(counts.overflowed > 20, "they feel it: {counts:?}");
    }
}
