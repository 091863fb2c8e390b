//! Who is forwarded in a room that forwards only some is the same everywhere: one engine says it.

use std::time::Duration;

use sfu_core::command::Command;
use sfu_core::preference::RoomPolicy;
use sfu_core::relay::{Message, Note};
use sfu_core::room::Seats;
use sfu_sim::{ClientId, Plan, World};

use crate::common::{assert_sound, ms, s, source};

/// The cameras that a client is shown, by their sources, with anything new in the last second.
fn seen(world: &mut World, client: ClientId) -> Vec<u32> {
    let stamps = |world: &World| -> Vec<_> {
        world
            .client(client)
            .receivers()
            .filter_map(|r| Some((r.playing()?.source, r.playing()?.frame)))
            .collect()
    };
    let before = stamps(world);
    world.run_for(s(1));
    let after = stamps(world);
    let mut seen: Vec<_> =
        after.iter().filter(|stamp| !before.contains(stamp)).map(|&(source, _)| source).collect();
    seen.sort_unstable();
    seen
}

fn set_policy(world: &mut World, rooms: &[sfu_core::id::RoomId], policy: RoomPolicy) {
    for (engine, &room) in rooms.iter().enumerate() {
        world.command_at(engine, Command::SetRoomPolicy { room, policy }).unwrap();
    }
}

fn person(levels: &[(Duration, i8)]) -> Plan {
    Plan::publisher().with_levels(levels)
}

#[test]
fn the_last_speakers_are_shown_everywhere_and_nothing_else_crosses() {
    let mut world = World::spanning(1, 3);
    let rooms = world.create_unlinked();
    world.link_all(&rooms);
    let room = rooms[0];
    let policy = RoomPolicy { audio_last_n: Some(1), video_last_n: Some(1), direct: false };
    set_policy(&mut world, &rooms, policy);
    let levels: [&[(Duration, i8)]; 3] =
        [&[(s(0), -80)], &[(s(0), -80), (s(20), -20)], &[(s(0), -80), (s(8), -25), (s(16), -80)]];
    let people = [(1, levels[0]), (0, levels[1]), (2, levels[2])].map(|(engine, levels)| {
        world.run_for(ms(1));
        world.join_at(engine, room, person(levels))
    });
    let viewers = [0, 1, 2].map(|engine| world.join_at(engine, room, Plan::viewer()));
    let cameras = people.map(|person| source(&world, person));
    let microphone = |world: &World, person: ClientId| {
        world.client(person).microphones().next().unwrap().source()
    };
    world.run_for(s(5));
    // The first to come, until anybody has spoken; then who speaks.
    for (until, speaker) in [(s(5), 0), (s(14), 2), (s(26), 1)] {
        world.run_for(until.saturating_sub(world.now()));
        let mut expected = vec![cameras[speaker], microphone(&world, people[speaker])];
        expected.sort_unstable();
        let relayed = world.relayed().packets;
        for viewer in viewers {
            assert_eq!(seen(&mut world, viewer), expected, "{viewer:?} at {:?}", world.now());
        }
        // Three seconds of one camera and one microphone to two other engines.
        let crossed = world.relayed().packets - relayed;
        let camera = world.client(people[speaker]).cameras().next().unwrap().published().packets;
        let seconds = world.now().as_secs();
        assert!(crossed <= 2 * 3 * (camera / seconds + 60), "{crossed} in three seconds");
    }
    for viewer in viewers {
        assert_sound(&world, viewer);
    }
}

#[test]
fn another_engine_takes_over_when_the_first_is_cut_off() {
    let mut world = World::spanning(2, 3);
    let rooms = world.create_unlinked();
    world.link_all(&rooms);
    let room = rooms[0];
    let policy = RoomPolicy { audio_last_n: None, video_last_n: Some(1), direct: false };
    set_policy(&mut world, &rooms, policy);
    let first = world.join_at(1, room, Plan::camera());
    let second = world.join_at(2, room, person(&[(s(0), -80), (s(10), -20)]));
    let viewers = [1, 2].map(|engine| world.join_at(engine, room, Plan::viewer().with_slots(0, 2)));
    world.run_for(s(5));
    for viewer in viewers {
        assert_eq!(seen(&mut world, viewer), [source(&world, first)]);
    }
    for engine in [1, 2] {
        world.unlink(&rooms, 0, engine);
        world.unlink(&rooms, engine, 0);
    }
    world.run_for(s(10));
    for viewer in viewers {
        assert_eq!(seen(&mut world, viewer), [source(&world, second)]);
    }
}

#[test]
fn seats_are_taken_from_the_engine_that_leads_and_from_no_other() {
    let mut world = World::spanning(3, 3);
    let rooms = world.create_unlinked();
    world.link_all(&rooms);
    let room = rooms[0];
    let policy = RoomPolicy { audio_last_n: None, video_last_n: Some(1), direct: false };
    set_policy(&mut world, &rooms, policy);
    let first = world.join_at(1, room, Plan::camera());
    world.run_for(ms(100));
    let second = world.join_at(1, room, Plan::camera());
    let viewer = world.join_at(1, room, Plan::viewer().with_slots(0, 2));
    world.run_for(s(5));
    assert_eq!(seen(&mut world, viewer), [source(&world, first)]);
    let seats = Seats { audio: None, video: Some(vec![world.client(second).participant]) };
    for (from, shown) in [(2, first), (0, second)] {
        let note = Note::Seats { room: rooms[1], seats: seats.clone() };
        let mut message = Message { notes: vec![note], ..Message::default() };
        world.inject_relay(1, from, &mut message);
        world.run_for(s(2));
        assert_eq!(seen(&mut world, viewer), [source(&world, shown)], "told by {from}");
    }
}
