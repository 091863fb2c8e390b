use crate::common::*;
use sfu_core::command::{Command, Reply};
use sfu_sim::{Plan, World};
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
fn zz_one() {
    let mut world = World::new(1);
    let room = world.create_room();
    let _camera = world.join(room, Plan::publisher());
    let viewer = world.join(room, Plan::viewer());
    world.run_for(s(10));
    show(&mut world, viewer);
}
#[test]
fn zz_mute() {
    let mut world = World::new(1);
    let room = world.create_room();
    let camera = world.join(room, Plan::camera());
    let viewer = world.join(room, Plan::viewer());
    world.run_for(s(3));
    let track = track(&world, camera);
    world.command(Command::Mute { track, muted: true }).unwrap();
    world.run_for(s(3));
    world.command(Command::Mute { track, muted: false }).unwrap();
    world.run_for(s(3));
    show(&mut world, viewer);
}
