//! Messages go to those they are addressed to, or to everyone but their sender.

use bytes::Bytes;
use sfu_core::command::{Command, CommandError, DataMessage, Reliability};
use sfu_core::drops::DropReason;
use sfu_core::event::Event;
use sfu_core::id::{PeerId, RoomId};
use sfu_core::limits::DATA_MESSAGE_BYTES_MAX;
use sfu_sim::{ClientId, Plan, World};

fn message(world: &World, from: Option<ClientId>, to: &[ClientId]) -> DataMessage {
    DataMessage {
        from: from.map(|id| world.client(id).participant),
        to: to.iter().map(|&id| world.client(id).participant).collect(),
        reliability: Reliability::Reliable,
        text: true,
        payload: Bytes::from_static(b"hello"),
    }
}

/// Sends, and gives who was told, in order.
fn deliver(world: &mut World, room: RoomId, message: DataMessage) -> Vec<PeerId> {
    let mark = world.events().len();
    let (sender, payload) = (message.from, message.payload.clone());
    world.command(Command::SendData { room, message }).unwrap();
    let mut told: Vec<_> = world
        .events_since(mark)
        .map(|event| match event {
            Event::Data { peer, from, text: true, payload: got, .. } => {
                assert_eq!((*from, got), (sender, &payload));
                *peer
            }
            other => panic!("{other:?}"),
        })
        .collect();
    told.sort_unstable();
    told
}

#[test]
fn messages_reach_their_addressees_and_nobody_else() {
    let mut world = World::new(1);
    let (room, elsewhere) = (world.create_room(), world.create_room());
    let ids: Vec<_> = (0..4).map(|_| world.join(room, Plan::viewer())).collect();
    let stranger = world.join(elsewhere, Plan::viewer());
    let peer = |id: ClientId, world: &World| world.client(id).peer;
    let peers: Vec<_> = ids.iter().map(|&id| peer(id, &world)).collect();

    let broadcast = message(&world, Some(ids[0]), &[]);
    assert_eq!(deliver(&mut world, room, broadcast), peers[1..]);
    let addressed = message(&world, Some(ids[0]), &[ids[2]]);
    assert_eq!(deliver(&mut world, room, addressed), [peers[2]]);
    let from_server = message(&world, None, &[]);
    assert_eq!(deliver(&mut world, room, from_server), peers);
    let across = message(&world, Some(ids[0]), &[stranger]);
    assert_eq!(deliver(&mut world, room, across), []);

    let mut large = message(&world, Some(ids[0]), &[]);
    large.payload = Bytes::from(vec![0; DATA_MESSAGE_BYTES_MAX + 1]);
    assert_eq!(deliver(&mut world, room, large), []);
    assert_eq!(world.drops(DropReason::DataOversize), 1);

    world.command(Command::CloseRoom { room: elsewhere }).unwrap();
    let message = message(&world, None, &[]);
    let gone = world.command(Command::SendData { room: elsewhere, message });
    assert!(matches!(gone, Err(CommandError::NoSuchRoom)));
}
