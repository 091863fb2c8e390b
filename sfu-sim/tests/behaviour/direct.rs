//! A room whose participants exchange media among themselves forwards nothing, asks for nothing,
//! and goes on at once when they do not any more.

use std::time::Duration;

use sfu_core::command::Command;
use sfu_core::event::Event;
use sfu_core::id::{RoomId, TrackId};
use sfu_core::preference::RoomPolicy;
use sfu_sim::{Plan, World};

use crate::common::{assert_flawless, audio, ms, s, track, video};

fn set_direct(world: &mut World, room: RoomId, direct: bool) {
    let policy = RoomPolicy { direct, ..RoomPolicy::default() };
    world.command(Command::SetRoomPolicy { room, policy }).unwrap();
}

/// What the publisher of `track` was asked for last.
fn asked(world: &World, track: TrackId) -> Vec<bool> {
    let asked = world.events().iter().rev().find_map(|(_, event)| match event {
        Event::Demand { track: of, wanted, .. } if *of == track => Some(wanted.to_vec()),
        _ => None,
    });
    asked.unwrap_or_else(|| vec![true])
}

#[test]
fn nothing_is_forwarded_or_asked_for_and_all_goes_on_with_one_keyframe() {
    let mut world = World::new(1);
    let room = world.create_room();
    let camera = world.join(room, Plan::publisher());
    let viewer = world.join(room, Plan::viewer());
    world.run_for(s(3));
    let track = track(&world, camera);
    assert!(asked(&world, track).contains(&true));

    set_direct(&mut world, room, true);
    world.run_for(ms(200)); // what is under way arrives
    let (seen, heard) = (video(&world, viewer), audio(&world, viewer));
    world.run_for(s(6));
    assert_eq!(video(&world, viewer).packets, seen.packets);
    assert_eq!(audio(&world, viewer).packets, heard.packets);
    assert!(!asked(&world, track).contains(&true), "not even the lowest");

    set_direct(&mut world, room, false);
    world.run_for(Duration::ZERO);
    assert!(asked(&world, track).contains(&true), "asked at once");
    let resumed = world.run_until(ms(250), |world| {
        video(world, viewer).frames > seen.frames && audio(world, viewer).packets > heard.packets
    });
    assert!(resumed, "within a quarter of a second");
    world.run_for(s(2));
    let after = video(&world, viewer);
    assert_eq!(after.keyframes, seen.keyframes + 1, "{after:?}");
    assert!(after.frames >= seen.frames + 30, "{after:?}");
    assert_flawless(&world, viewer);
}

#[test]
fn who_comes_while_it_is_direct_gets_nothing_until_it_is_not() {
    let mut world = World::new(2);
    let room = world.create_room();
    let _camera = world.join(room, Plan::publisher());
    set_direct(&mut world, room, true);
    let late = world.join(room, Plan::viewer());
    world.run_for(s(3));
    assert_eq!(video(&world, late).packets + audio(&world, late).packets, 0);
    set_direct(&mut world, room, false);
    assert!(world.run_until(s(1), |world| video(world, late).frames > 0), "within a second");
    world.run_for(s(1));
    assert_flawless(&world, late);
}
