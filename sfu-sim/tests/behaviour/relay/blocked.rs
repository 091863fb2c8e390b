//! What cannot be brought to another engine waits within bounds: media is dropped, all else is kept,
//! and if that is too much the link is over.

use bytes::Bytes;
use sfu_core::command::{Command, DataMessage, Reliability};
use sfu_core::drops::DropReason;
use sfu_core::event::Event;
use sfu_core::id::RoomId;
use sfu_core::limits::{RELAY_BYTES_MAX, RELAY_DATA_BYTES_MAX, RELAY_PACKETS_MAX};
use sfu_sim::client::judge::quality::Violation;
use sfu_sim::{Encoding, Plan, VideoPlan, World};

use crate::common::{assert_flawless, assert_sound, ms, s, track, video};

fn data(reliability: Reliability, bytes: usize) -> DataMessage {
    let payload = Bytes::from(vec![b'x'; bytes]);
    DataMessage { from: None, to: vec![], reliability, text: true, payload }
}

fn send(world: &mut World, room: RoomId, message: DataMessage) {
    world.command(Command::SendData { room, message }).unwrap();
}

fn received(world: &World, engine: usize) -> usize {
    world.events_of(engine).filter(|(_, event)| matches!(event, Event::Data { .. })).count()
}

#[test]
fn a_slow_neighbour_loses_media_and_nothing_else_and_holds_up_nobody() {
    let mut world = World::spanning(1, 3);
    let room = world.create_room();
    let encodings = vec![Encoding { rid: None, bits_per_second: 20_000_000 }];
    let plan = VideoPlan { encodings, ..VideoPlan::default() };
    let camera = world.join_at(0, room, Plan::camera().with_video(plan));
    let viewer = Plan::viewer().with_slots(0, 1).with_feedback(sfu_sim::Feedback::None);
    let viewers = [1, 2].map(|engine| world.join_at(engine, room, viewer.clone()));
    world.run_for(s(2));
    world.block_relay(Some(1));
    for _ in 0..100 {
        send(&mut world, room, data(Reliability::Reliable, 1_000));
        world.run_for(ms(50));
    }
    let dropped = world.drops(DropReason::RelayFull);
    let waiting = u64::min(RELAY_PACKETS_MAX as u64, RELAY_BYTES_MAX as u64 / 1_000);
    let sent = world.client(camera).cameras().next().unwrap().published().packets * 5 / 7;
    assert!(dropped > 2_000 && dropped + waiting + 200 > sent, "{dropped} of {sent}");
    let seen = video(&world, viewers[0]).frames;

    world.block_relay(None);
    world.run_for(s(3));
    assert_eq!((received(&world, 1), received(&world, 2)), (100, 100));
    assert!(world.relayed().packets_max <= RELAY_PACKETS_MAX);
    assert!(video(&world, viewers[0]).frames > seen + 30, "it goes on");
    // But for the frame that was torn apart.
    let violations = video(&world, viewers[0]).violations;
    assert!(violations.iter().all(|v| matches!(v, Violation::FrameEnd { .. })), "{violations:?}");
    assert_flawless(&world, viewers[1]);
}

#[test]
fn lossy_messages_go_first() {
    let mut world = World::spanning(2, 2);
    let room = world.create_room();
    world.join_at(1, room, Plan::viewer());
    world.run_for(s(1));
    world.block_relay(Some(1));
    let large = 64 * 1024;
    let half = RELAY_DATA_BYTES_MAX / large / 2;
    for _ in 0..half + 10 {
        send(&mut world, room, data(Reliability::Lossy, large));
    }
    for _ in 0..half - 10 {
        send(&mut world, room, data(Reliability::Reliable, large));
    }
    assert_eq!(world.drops(DropReason::RelayFull), 10);
    world.block_relay(None);
    world.run_for(s(1));
    assert_eq!(received(&world, 1), 2 * half - 10);
}

#[test]
fn a_neighbour_that_takes_nothing_any_more_loses_the_link() {
    let mut world = World::spanning(3, 3);
    let rooms = world.create_unlinked();
    world.link_all(&rooms);
    let room = rooms[0];
    let camera = world.join_at(0, room, Plan::camera());
    let viewers = [1, 2].map(|n| world.join_at(n, room, Plan::viewer().with_slots(0, 1)));
    let other = world.join_at(1, room, Plan::camera());
    world.run_for(s(2));
    assert_eq!(world.stats_of(0).mirrors, 1);
    world.block_relay(Some(1));
    let large = 64 * 1024;
    for _ in 0..=RELAY_DATA_BYTES_MAX / large {
        send(&mut world, room, data(Reliability::Reliable, large));
    }
    let lost: Vec<_> = world
        .events()
        .iter()
        .filter_map(|(_, event)| match event {
            Event::LinkLost { room, worker } => Some((*room, *worker)),
            _ => None,
        })
        .collect();
    assert_eq!(lost, [(room, 1)]);
    assert_eq!(world.stats_of(0).mirrors, 0, "what came from there has ended");
    world.block_relay(None);
    world.run_for(s(1));
    let local = world.mirror_in(1, (0, track(&world, camera)));
    assert_eq!(local, None, "and there what came from here");
    assert!(world.mirror_in(2, (1, track(&world, other))).is_some(), "others have theirs");

    world.link(&rooms, 0, 1);
    world.run_for(s(3));
    assert!(world.mirror_in(1, (0, track(&world, camera))).is_some());
    for viewer in viewers {
        assert_sound(&world, viewer);
        assert!(video(&world, viewer).frames > 30 * 4);
    }
}
