use crate::common::*;
use sfu_core::command::{Command, Reply};
use sfu_sim::{Plan, World};
use std::time::Duration;
#[test]
fn zz_probe() {
    let mut world = World::new(1);
    let room = world.create_room();
    let _camera = world.join(room, Plan::camera());
    let viewer = world.join(room, Plan::viewer());
    world.run_for(Duration::from_secs(6));
    let peer = world.client(viewer).peer;
    let Ok(Reply::Decisions(d)) = world.command(Command::Decisions { peer }) else { panic!() };
    for r in &d.records {
        println!("{:?}", r);
    }
    println!("{:?}", d.estimate);
    println!("{:?}", d.subscriptions);
    let _ = video(&world, viewer);
    println!("{:?}", video(&world, viewer));
}
