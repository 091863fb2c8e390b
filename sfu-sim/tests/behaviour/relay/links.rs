//! Links are made and cut in any order, once or twice, and nothing of them stays.

use sfu_core::command::{Command, CommandError};
use sfu_core::id::RoomId;
use sfu_sim::{Plan, World};

use crate::common::{assert_flawless, assert_sound, ms, s, video};

const ORDERS: [&[(usize, usize)]; 4] = [
    &[(0, 1), (1, 0)],
    &[(1, 0), (0, 1)],
    &[(0, 1), (0, 1), (1, 0), (1, 0)],
    &[(1, 0), (0, 1), (1, 0)],
];

#[test]
fn links_may_be_made_in_any_order_at_any_distance_in_time() {
    for (seed, order) in (1..).zip(ORDERS) {
        for apart in [ms(0), ms(300)] {
            let mut world = World::spanning(seed, 2);
            world.set_relay_delay(ms(20));
            let rooms = world.create_unlinked();
            let clients: Vec<_> = (0..4).map(|_| world.join(rooms[0], Plan::publisher())).collect();
            world.run_for(s(1));
            for &(at, to) in order {
                world.link(&rooms, at, to);
                world.run_for(apart);
            }
            let late = world.join_at(1, rooms[0], Plan::publisher());
            // Four cameras without simulcast are more than the start may send; probes find the rest.
            world.run_for(s(6));
            for engine in 0..2 {
                let stats = world.stats_of(engine);
                assert_eq!(stats.tracks, 10, "{order:?} {apart:?}");
            }
            for client in clients.into_iter().chain([late]) {
                assert_sound(&world, client);
                let quality = video(&world, client);
                assert!(quality.frames > 4 * 30 * 3, "{order:?} {apart:?}: {quality:?}");
            }
        }
    }
}

#[test]
fn a_cut_link_ends_what_came_by_it_and_a_new_one_brings_it_back() {
    for cut in [&[(0, 1)][..], &[(1, 0)], &[(0, 1), (1, 0)]] {
        let mut world = World::spanning(5, 3);
        let rooms = world.create_unlinked();
        world.link_all(&rooms);
        let clients: Vec<_> = (0..3).map(|_| world.join(rooms[0], Plan::publisher())).collect();
        // Between two packets of audio and two frames: what waits when its track ends is not sent.
        world.run_for(s(3) + ms(15));
        for &(at, to) in cut {
            world.unlink(&rooms, at, to);
        }
        world.run_for(s(2));
        let mirrors: Vec<_> = (0..3).map(|engine| world.stats_of(engine).mirrors).collect();
        assert_eq!(mirrors, [2, 2, 4], "{cut:?}");
        let seen = video(&world, clients[0]).frames;
        world.run_for(s(1));
        let seen = video(&world, clients[0]).frames - seen;
        assert!((25..=35).contains(&seen), "one camera of two is left: {seen}");

        for &(at, to) in cut {
            world.link(&rooms, at, to);
        }
        world.run_for(s(3));
        for (engine, &client) in clients.iter().enumerate() {
            assert_eq!(world.stats_of(engine).mirrors, 4, "{cut:?}");
            assert_flawless(&world, client);
        }
    }
}

#[test]
fn a_closed_room_leaves_its_links() {
    let mut world = World::spanning(6, 2);
    let rooms = world.create_unlinked();
    world.link_all(&rooms);
    let gone = world.join_at(0, rooms[0], Plan::publisher());
    let stays = world.join_at(1, rooms[0], Plan::publisher());
    world.run_for(s(2));
    world.leave(gone);
    world.command(Command::CloseRoom { room: rooms[0] }).unwrap();
    world.run_for(s(1));
    assert_eq!((world.stats_of(1).mirrors, world.stats_of(1).tracks), (0, 2));
    assert_sound(&world, stays);
    world.unlink(&rooms, 1, 0);
    world.leave(stays);
    world.command_at(1, Command::CloseRoom { room: rooms[1] }).unwrap();
    world.run_for(s(2));
    for engine in 0..2 {
        assert_nothing_left(&world, engine);
    }
}

#[track_caller]
fn assert_nothing_left(world: &World, engine: usize) {
    let stats = world.stats_of(engine);
    let left = [
        stats.rooms,
        stats.peers,
        stats.tracks,
        stats.mirrors,
        stats.subscriptions,
        stats.timers,
        stats.addresses,
        stats.history_pages,
        stats.panics,
    ];
    assert_eq!(left, [0; 9], "engine {engine}: {stats:?}");
}

#[test]
fn nothing_stays_of_two_hundred_who_came_and_left() {
    let mut world = World::spanning(7, 3);
    let rooms = world.create_unlinked();
    world.link_all(&rooms);
    let mut present = std::collections::VecDeque::new();
    for step in 0..200 {
        present.push_back(world.join(rooms[0], Plan::publisher().with_slots(3, 3)));
        world.run_for(ms(150));
        if present.len() > 5 {
            world.leave(present.pop_front().unwrap());
        }
        // Now and then a link is cut and made again.
        if step % 20 == 10 {
            world.unlink(&rooms, 0, 2);
            world.unlink(&rooms, 2, 0);
        } else if step % 20 == 12 {
            world.link(&rooms, 2, 0);
            world.link(&rooms, 0, 2);
        }
    }
    world.run_for(s(1));
    for &client in &present {
        assert_sound(&world, client);
    }
    while let Some(client) = present.pop_front() {
        world.leave(client);
    }
    for (engine, &room) in rooms.iter().enumerate() {
        world.command_at(engine, Command::CloseRoom { room }).unwrap();
    }
    world.run_for(s(2));
    for engine in 0..3 {
        assert_nothing_left(&world, engine);
    }
}

#[test]
fn links_that_make_no_sense_are_refused() {
    let mut world = World::spanning(8, 2);
    let rooms = world.create_unlinked();
    let link = |room, worker| Command::LinkRoom { room, worker, remote: rooms[1] };
    let own = world.command_at(0, link(rooms[0], 0));
    assert!(matches!(own, Err(CommandError::OwnWorker)), "{own:?}");
    let nowhere = world.command_at(0, link(RoomId::default(), 1));
    assert!(matches!(nowhere, Err(CommandError::NoSuchRoom)), "{nowhere:?}");
    // To cut what is not there is no error: the other side may have done it.
    world.unlink(&rooms, 0, 1);
    for worker in 1..=64 {
        let remote = rooms[1];
        world
            .command_at(0, Command::LinkRoom { room: rooms[0], worker, remote })
            .unwrap_or_else(|error| panic!("{worker}: {error}"));
        if worker > 1 {
            world.command_at(0, Command::UnlinkRoom { room: rooms[0], worker }).unwrap();
        }
    }
}
