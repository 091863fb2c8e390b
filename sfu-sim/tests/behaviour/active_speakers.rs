//! Who speaks is told within half a second, loudest first, and again when it changes.

use sfu_core::command::SubscribePolicy;
use sfu_core::event::Event;
use sfu_sim::{ClientId, Plan, World};

use crate::common::{ms, s};

/// The last list of speakers told, as clients.
fn speakers(world: &World, clients: &[ClientId]) -> Vec<ClientId> {
    let last = world.events().iter().rev().find_map(|(_, event)| match event {
        Event::Speakers { speakers, .. } => Some(speakers),
        _ => None,
    });
    let client = |participant| {
        *clients.iter().find(|&&id| world.client(id).participant == participant).unwrap()
    };
    last.into_iter().flatten().map(|speaker| client(speaker.participant)).collect()
}

#[test]
fn speakers_are_told_as_they_come_and_go() {
    let mut world = World::new(1);
    let room = world.create_room();
    let plan = |levels: &[_]| {
        Plan::viewer().with_slots(0, 0).with_levels(levels).subscribing(SubscribePolicy::Manual)
    };
    let quiet = world.join(room, plan(&[(s(0), -80)]));
    let first = world.join(room, plan(&[(s(0), -80), (s(2), -25), (s(6), -80)]));
    let second = world.join(room, plan(&[(s(0), -80), (s(4), -15)]));
    let all = [quiet, first, second];

    world.run_for(s(2));
    assert_eq!(speakers(&world, &all), []);
    world.run_for(ms(500));
    assert_eq!(speakers(&world, &all), [first]);
    world.run_for(ms(2_500));
    assert_eq!(speakers(&world, &all), [second, first], "the louder one first");
    world.run_for(s(3));
    assert_eq!(speakers(&world, &all), [second]);
    world.leave(second);
    world.run_for(s(1));
    assert_eq!(speakers(&world, &all[..2]), []);
}

#[test]
fn a_muted_speaker_is_none() {
    let mut world = World::new(2);
    let room = world.create_room();
    let loud = Plan::viewer().with_slots(0, 0).with_levels(&[(s(0), -20)]);
    let speaker = world.join(room, loud);
    world.run_for(s(1));
    assert_eq!(speakers(&world, &[speaker]), [speaker]);
    let track = world.client(speaker).published()[0].1;
    world.command(sfu_core::command::Command::Mute { track, muted: true }).unwrap();
    world.run_for(ms(500));
    assert_eq!(speakers(&world, &[speaker]), []);
}
