use crate::common::*;
use sfu_core::command::{Command, Reply};
use sfu_sim::*;
fn show(world: &mut World, viewer: sfu_sim::ClientId) {
    let peer = world.client(viewer).peer;
    let Ok(Reply::Decisions(d)) = world.command(Command::Decisions { peer }) else { panic!() };
    for r in &d.records {
        println!("{:?}", r);
    }
    println!("{:?}", d.estimate);
    for s in &d.subscriptions {
        println!("{:?}", s);
    }
    println!("{:?}", video(world, viewer));
}
#[test]
fn zz_outage() {
    let mut world = World::new(1);
    let room = world.create_room();
    let _camera = world.join(room, Plan::camera());
    let dark = Conditions::default().with_loss(Loss::Outage);
    let link = LinkPlan::default().with_spell(s(5), s(10), dark);
    let viewer = world.join(room, Plan::viewer().with_up(link.clone()).with_down(link));
    world.run_for(s(13));
    show(&mut world, viewer);
}

#[test]
fn zz_new() {
    let mut world = World::new(1);
    let room = world.create_room();
    for _ in 0..2 {
        world.join(room, Plan::publisher());
    }
    world.run_for(s(5));
    let viewer = world.join(room, Plan::viewer());
    world.run_for(s(5));
    show(&mut world, viewer);
}
#[test]
fn zz_temporal() {
    let mut world = World::new(1);
    let room = world.create_room();
    world.join(
        room,
        Plan::camera()
            .with_video(VideoPlan::layered(sfu_core::negotiation::Codec::Vp8, Layering::new(1, 3))),
    );
    let viewer = world.join(room, Plan::viewer().with_slots(0, 1));
    world.run_for(s(6));
    show(&mut world, viewer);
}
