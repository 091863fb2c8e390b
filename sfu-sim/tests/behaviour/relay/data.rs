//! Data messages reach whom they are for, in whatever engine.

use bytes::Bytes;
use sfu_core::command::{Command, DataMessage, Reliability};
use sfu_core::event::Event;
use sfu_core::id::{ParticipantId, PeerId, RoomId};
use sfu_sim::{ClientId, Plan, World};

use crate::common::ms;

fn message(world: &World, from: Option<ClientId>, to: &[ClientId], text: &str) -> DataMessage {
    DataMessage {
        from: from.map(|id| world.client(id).participant),
        to: to.iter().map(|&id| world.client(id).participant).collect(),
        reliability: Reliability::Reliable,
        text: true,
        payload: Bytes::copy_from_slice(text.as_bytes()),
    }
}

/// Who was told what since then, by engine.
fn told(world: &World, engine: usize) -> Vec<(PeerId, Option<ParticipantId>, Bytes)> {
    let told = world.events_of(engine).filter_map(|(_, event)| match event {
        Event::Data { peer, from, payload, .. } => Some((*peer, *from, payload.clone())),
        _ => None,
    });
    told.collect()
}

fn room_of_six(seed: u64) -> (World, RoomId, Vec<ClientId>) {
    let mut world = World::spanning(seed, 3);
    let room = world.create_room();
    let clients = (0..6).map(|_| world.join(room, Plan::viewer())).collect();
    world.run_for(ms(100));
    (world, room, clients)
}

#[test]
fn a_message_to_all_reaches_each_once() {
    let (mut world, room, clients) = room_of_six(1);
    let broadcast = message(&world, Some(clients[0]), &[], "hello");
    world.command(Command::SendData { room, message: broadcast }).unwrap();
    world.run_for(ms(100));
    let from = Some(world.client(clients[0]).participant);
    for engine in 0..3 {
        let expected: Vec<_> = clients[1..]
            .iter()
            .filter(|&&client| world.engine_of(client) == engine)
            .map(|&client| (world.client(client).peer, from, Bytes::from("hello")))
            .collect();
        assert_eq!(told(&world, engine), expected, "engine {engine}");
    }
}

#[test]
fn a_message_to_some_crosses_only_to_where_they_are() {
    let (mut world, room, clients) = room_of_six(2);
    let addressed = message(&world, None, &[clients[1], clients[3]], "psst");
    let before = world.relayed().notes;
    world.command(Command::SendData { room, message: addressed }).unwrap();
    world.run_for(ms(100));
    let peers = |engine| told(&world, engine).into_iter().map(|(p, ..)| p).collect::<Vec<_>>();
    assert_eq!(peers(0), [world.client(clients[3]).peer]);
    assert_eq!(peers(1), [world.client(clients[1]).peer]);
    assert_eq!(peers(2), []);
    assert_eq!(world.relayed().notes, before + 1);
}

#[test]
fn messages_come_in_order_and_none_is_lost_among_media() {
    let mut world = World::spanning(3, 2);
    let room = world.create_room();
    let sender = world.join_at(0, room, Plan::publisher());
    let receiver = world.join_at(1, room, Plan::viewer());
    world.run_for(ms(500));
    for number in 0..200 {
        let message = message(&world, Some(sender), &[], &number.to_string());
        world.command(Command::SendData { room, message }).unwrap();
        world.run_for(ms(3));
    }
    world.run_for(ms(100));
    let numbers: Vec<_> = told(&world, 1)
        .into_iter()
        .map(|(peer, _, payload)| {
            assert_eq!(peer, world.client(receiver).peer);
            std::str::from_utf8(&payload).unwrap().parse::<u32>().unwrap()
        })
        .collect();
    assert!(numbers.into_iter().eq(0..200));
}
