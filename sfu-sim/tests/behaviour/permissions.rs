//! What is taken away ends at once, while media runs, and what is given again begins anew.

use sfu_core::command::{Command, CommandError, Permissions, Source, Sources};
use sfu_core::event::Event;
use sfu_sim::{Plan, World};

use crate::common::{audio, ms, s, track, video};

#[test]
fn tracks_of_a_source_that_is_no_longer_permitted_end_and_the_others_go_on() {
    let mut world = World::new(1);
    let room = world.create_room();
    let ann = world.join(room, Plan::publisher());
    let bob = world.join(room, Plan::viewer());
    world.run_for(s(3));
    let microphone = Sources::NONE.with(Source::Microphone);
    let permissions = Permissions { publish: microphone, ..Permissions::ALL };
    let peer = world.client(ann).peer;
    world.command(Command::Permit { peer, permissions }).unwrap();
    world.run_for(ms(200)); // what is under way arrives
    let (before, heard) = (video(&world, bob), audio(&world, bob));
    world.run_for(s(3));
    assert_eq!(video(&world, bob).packets, before.packets, "none within a second and later");
    assert!(audio(&world, bob).packets >= heard.packets + 149, "audio goes on");
    let ended = |event: &Event| matches!(event, Event::TrackUnpublished { .. });
    assert_eq!(world.events().iter().filter(|(_, event)| ended(event)).count(), 1);
}

#[test]
fn subscriptions_end_and_begin_with_the_permission() {
    let mut world = World::new(2);
    let room = world.create_room();
    let ann = world.join(room, Plan::publisher());
    let bob = world.join(room, Plan::viewer());
    world.run_for(s(3));
    let peer = world.client(bob).peer;
    let permissions = Permissions { subscribe: false, ..Permissions::ALL };
    world.command(Command::Permit { peer, permissions }).unwrap();
    world.run_for(ms(200));
    let before = video(&world, bob).packets + audio(&world, bob).packets;
    world.run_for(s(2));
    assert_eq!(video(&world, bob).packets + audio(&world, bob).packets, before);
    let track = track(&world, ann);
    let asked = world.command(Command::Subscribe { peer, track });
    assert!(matches!(asked, Err(CommandError::NotPermitted)), "{asked:?}");

    world.command(Command::Permit { peer, permissions: Permissions::ALL }).unwrap();
    let frames = video(&world, bob).frames;
    let resumed = world.run_until(s(1), |world| video(world, bob).frames > frames);
    assert!(resumed, "within a second");
}
