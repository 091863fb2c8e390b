//! Every engine of a room tells the same list of speakers.

use std::time::Duration;

use sfu_core::command::{Command, SubscribePolicy};
use sfu_core::event::Event;
use sfu_core::id::ParticipantId;
use sfu_sim::{Plan, World};

use crate::common::{ms, s};

/// The last list of speakers that an engine told.
fn speakers(world: &World, engine: usize) -> Vec<ParticipantId> {
    let last = world.events_of(engine).rev().find_map(|(_, event)| match event {
        Event::Speakers { speakers, .. } => Some(speakers.iter().map(|s| s.participant).collect()),
        _ => None,
    });
    last.unwrap_or_default()
}

fn person(levels: &[(Duration, i8)]) -> Plan {
    Plan::viewer().with_slots(0, 0).with_levels(levels).subscribing(SubscribePolicy::Manual)
}

#[test]
fn speakers_are_the_same_in_every_engine() {
    let mut world = World::spanning(1, 3);
    world.set_relay_delay(ms(5));
    let room = world.create_room();
    let first = world.join_at(0, room, person(&[(s(0), -80), (s(2), -25), (s(6), -80)]));
    let second = world.join_at(1, room, person(&[(s(0), -80), (s(4), -15)]));
    world.join_at(2, room, person(&[(s(0), -80)]));
    let (first, second_id) = (world.client(first).participant, world.client(second).participant);
    let mut steps = vec![
        (s(2), vec![]),
        (ms(700), vec![first]),
        (ms(2_300), vec![second_id, first]),
        (s(3), vec![second_id]),
    ];
    for (time, expected) in steps.drain(..) {
        world.run_for(time);
        for engine in 0..3 {
            assert_eq!(speakers(&world, engine), expected, "engine {engine}");
        }
    }
    world.leave(second);
    world.run_for(s(1));
    for engine in 0..3 {
        assert_eq!(speakers(&world, engine), []);
    }
}

#[test]
fn equally_loud_speakers_rank_alike_everywhere() {
    let mut world = World::spanning(2, 3);
    let room = world.create_room();
    let plan = person(&[(s(0), -30)]);
    let clients: Vec<_> = (0..9).map(|_| world.join(room, plan.clone())).collect();
    let mut people: Vec<_> = clients.iter().map(|&id| world.client(id).participant).collect();
    people.sort_unstable();
    world.run_for(s(3));
    for engine in 0..3 {
        assert_eq!(speakers(&world, engine), people[..8]);
    }
}

#[test]
fn a_muted_speaker_falls_silent_everywhere_and_so_do_those_behind_a_cut_link() {
    let mut world = World::spanning(3, 2);
    let rooms = world.create_unlinked();
    world.link_all(&rooms);
    let loud = world.join_at(0, rooms[0], person(&[(s(0), -20)]));
    let other = world.join_at(0, rooms[0], person(&[(s(0), -25)]));
    let names = [loud, other].map(|id| world.client(id).participant);
    world.run_for(s(2));
    assert_eq!(speakers(&world, 1), names);
    let track = world.client(loud).published()[0].1;
    world.command(Command::Mute { track, muted: true }).unwrap();
    world.run_for(ms(500));
    assert_eq!(speakers(&world, 1), [names[1]]);
    world.unlink(&rooms, 1, 0);
    world.run_for(ms(500));
    assert_eq!(speakers(&world, 1), []);
    assert_eq!(speakers(&world, 0), [names[1]]);
    world.link(&rooms, 1, 0);
    world.run_for(ms(500));
    assert_eq!(speakers(&world, 1), [names[1]], "told again although nothing has changed");
}

#[test]
fn steady_levels_are_not_repeated() {
    let mut world = World::spanning(4, 2);
    let room = world.create_room();
    for _ in 0..4 {
        world.join(room, person(&[(s(0), -30)]));
    }
    world.run_for(s(5));
    let before = world.relayed().notes;
    world.run_for(s(10));
    assert_eq!(world.relayed().notes, before);
}
