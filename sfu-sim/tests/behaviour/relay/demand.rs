//! What mirrors want flows back: keyframes, throttled twice, and which encodings are to cross.

use sfu_core::command::Command;
use sfu_core::event::Event;
use sfu_core::preference::{Preference, Quality as Words};
use sfu_sim::{ClientId, Plan, VideoPlan, World};

use crate::common::{assert_flawless, assert_sound, ms, s, track, video};

#[test]
fn a_storm_of_keyframe_requests_at_another_engine_becomes_two_a_second() {
    let mut world = World::spanning(1, 2);
    let room = world.create_room();
    let camera = world.join_at(0, room, Plan::camera());
    let viewers: Vec<_> =
        (0..50).map(|_| world.join_at(1, room, Plan::viewer().with_slots(0, 1))).collect();
    world.run_for(s(2));
    let (begun, notes) = (world.now(), world.relayed().notes);
    for _ in 0..500 {
        for &viewer in &viewers {
            world.client_mut(viewer).request_keyframes();
        }
        world.run_for(ms(20));
    }
    let requests = &world.client(camera).cameras().next().unwrap().published().keyframe_requests;
    let storm: Vec<_> = requests.iter().filter(|&&at| at >= begun).collect();
    assert!(storm.windows(2).all(|pair| *pair[1] - *pair[0] >= ms(499)), "{storm:?}");
    assert!((5..=20).contains(&storm.len()), "{storm:?}");
    assert!(world.stats_of(1).keyframe_requests_in >= 25_000);
    let notes = world.relayed().notes - notes;
    // Two requests a second, a sender report a second, and who has a level.
    assert!(notes <= 60, "{notes} notes in ten seconds");
    for &viewer in &viewers {
        assert_flawless(&world, viewer);
    }
}

/// Wishes for the only subscription of a client.
fn prefer(world: &mut World, camera: ClientId, client: ClientId, quality: Words) {
    let engine = world.engine_of(client);
    let origin = (world.engine_of(camera), track(world, camera));
    let track = world.mirror_in(engine, origin).unwrap();
    let peer = world.client(client).peer;
    let preference = Preference { quality, ..Preference::default() };
    world.command_at(engine, Command::Prefer { peer, track, preference }).unwrap();
}

/// What crosses in so much time, in packets.
fn crosses(world: &mut World) -> u64 {
    let before = world.relayed().packets;
    world.run_for(s(3));
    world.relayed().packets - before
}

/// What a publisher was last told anybody wants.
fn demanded(world: &World, camera: ClientId) -> Vec<bool> {
    let peer = world.client(camera).peer;
    let told = world.events_of(world.engine_of(camera)).rev().find_map(|(_, event)| match event {
        Event::Demand { peer: of, wanted, .. } if *of == peer => Some(wanted.to_vec()),
        _ => None,
    });
    told.unwrap_or_else(|| vec![true; 3])
}

#[test]
fn only_encodings_that_are_wanted_there_cross() {
    let mut world = World::spanning(2, 2);
    let room = world.create_room();
    let plan = VideoPlan { follows_demand: false, ..VideoPlan::simulcast() };
    let camera = world.join_at(0, room, Plan::camera().with_video(plan));
    let near = world.join_at(0, room, Plan::viewer().with_slots(0, 1));
    let far = world.join_at(1, room, Plan::viewer().with_slots(0, 1));
    world.run_for(s(8));
    // All three reach the first engine all the time.
    let published = world.stats_of(0).rtp_in;
    let best = crosses(&mut world);
    let published = world.stats_of(0).rtp_in - published;
    assert!(best < published * 9 / 10 && best > published / 2, "{best} of {published}");

    prefer(&mut world, camera, far, Words::Low);
    world.run_for(s(5));
    let low = crosses(&mut world);
    assert!(low < best / 4 && low >= 90, "{low}, before {best}");
    assert_eq!(demanded(&world, camera), [true, false, true], "here the best, there the lowest");

    prefer(&mut world, camera, near, Words::Low);
    world.run_for(s(5));
    assert_eq!(demanded(&world, camera), [true, false, false]);

    prefer(&mut world, camera, far, Words::Off);
    world.run_for(s(1));
    assert_eq!(crosses(&mut world), 0);
    assert_eq!(demanded(&world, camera), [true, false, false], "one looks still");

    let frames = video(&world, far).frames;
    prefer(&mut world, camera, far, Words::Auto);
    world.run_for(s(8));
    assert_eq!(demanded(&world, camera), [true, false, true]);
    let high = crosses(&mut world);
    assert!(high > best * 8 / 10, "{high}, at first {best}");
    assert!(video(&world, far).frames > frames + 30 * 7);
    for viewer in [near, far] {
        assert_sound(&world, viewer);
        let quality = video(&world, viewer);
        assert_eq!([quality.lost, quality.frames_undecodable], [0; 2], "{quality:?}");
    }
}

#[test]
fn a_publisher_that_nobody_watches_in_its_own_engine_sends_what_others_want() {
    let mut world = World::spanning(3, 3);
    let room = world.create_room();
    let camera = world.join_at(0, room, Plan::camera().with_video(VideoPlan::simulcast()));
    let one = world.join_at(1, room, Plan::viewer().with_slots(0, 1));
    let other = world.join_at(2, room, Plan::viewer().with_slots(0, 1));
    world.run_for(s(8));
    // The lowest goes on as long as anybody watches.
    assert_eq!(demanded(&world, camera), [true, false, true]);
    prefer(&mut world, camera, one, Words::Low);
    world.run_for(s(8));
    assert_eq!(demanded(&world, camera), [true, false, true]);
    world.leave(other);
    world.run_for(s(8));
    assert_eq!(demanded(&world, camera), [true, false, false]);
    world.leave(one);
    world.run_for(s(8));
    assert_eq!(demanded(&world, camera), [false; 3]);
    let late = world.join_at(1, room, Plan::viewer().with_slots(0, 1));
    world.run_for(s(8));
    assert_eq!(demanded(&world, camera), [true, false, true]);
    assert_flawless(&world, late);
    assert!(video(&world, late).frames > 30 * 6);
}
