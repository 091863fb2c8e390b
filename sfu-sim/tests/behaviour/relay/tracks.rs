//! The life of a track is the life of its mirrors: muted, ended, begun again, gone with its
//! publisher.

use sfu_core::command::{Command, CommandError, SubscribePolicy};
use sfu_core::drops::DropReason;
use sfu_core::event::Event;
use sfu_core::negotiation::MediaKind;
use sfu_sim::{Plan, VideoPlan, World};

use crate::common::{assert_flawless, assert_sound, audio, ms, playing, s, source, track, video};

#[test]
fn a_muted_track_is_muted_everywhere() {
    let mut world = World::spanning(1, 2);
    let room = world.create_room();
    let camera = world.join_at(0, room, Plan::publisher());
    let viewer = world.join_at(1, room, Plan::viewer());
    world.run_for(s(3));
    let track = track(&world, camera);

    world.command(Command::Mute { track, muted: true }).unwrap();
    world.run_for(ms(200)); // what is under way arrives
    let (before, heard) = (video(&world, viewer), audio(&world, viewer));
    world.run_for(s(3));
    let during = video(&world, viewer);
    assert_eq!(during.packets, before.packets);
    assert!(audio(&world, viewer).packets >= heard.packets + 149, "audio goes on");

    world.command(Command::Mute { track, muted: false }).unwrap();
    let resumed = world.run_until(s(1), |world| video(world, viewer).frames > during.frames);
    assert!(resumed, "within a second");
    world.run_for(s(2));
    let after = video(&world, viewer);
    assert_eq!(after.keyframes, during.keyframes + 1, "{after:?}");
    assert!(after.frames >= during.frames + 30, "{after:?}");
    assert_flawless(&world, viewer);

    let far = |event: &Event| matches!(event, Event::TrackMuted { .. });
    assert!(world.events_of(0).any(|(_, event)| far(event)));
    assert!(!world.events_of(1).any(|(_, event)| far(event)), "told by its own engine only");
}

#[test]
fn a_track_that_is_muted_when_links_are_made_is_muted_there() {
    let mut world = World::spanning(2, 2);
    let rooms = world.create_unlinked();
    let camera = world.join_at(0, rooms[0], Plan::camera());
    let viewer = world.join_at(1, rooms[0], Plan::viewer().with_slots(0, 1));
    world.run_for(s(1));
    let track = track(&world, camera);
    world.command(Command::Mute { track, muted: true }).unwrap();
    world.link_all(&rooms);
    world.run_for(s(2));
    let muted = world.events_of(1).find_map(|(_, event)| match event {
        Event::TrackMirrored { track, .. } => Some(track.muted),
        _ => None,
    });
    assert_eq!((muted, video(&world, viewer).packets), (Some(true), 0));
    world.command(Command::Mute { track, muted: false }).unwrap();
    world.run_for(s(5));
    assert_sound(&world, viewer);
    assert!(video(&world, viewer).frames > 60);
}

#[test]
fn only_its_own_engine_mutes_and_ends_a_track() {
    let mut world = World::spanning(3, 2);
    let room = world.create_room();
    let camera = world.join_at(0, room, Plan::camera());
    world.join_at(1, room, Plan::viewer());
    world.run_for(s(1));
    let track = world.mirror_in(1, (0, track(&world, camera))).unwrap();
    let mute = world.command_at(1, Command::Mute { track, muted: true });
    assert!(matches!(mute, Err(CommandError::MirroredTrack)), "{mute:?}");
    let unpublish = world.command_at(1, Command::Unpublish { track });
    assert!(matches!(unpublish, Err(CommandError::MirroredTrack)), "{unpublish:?}");
}

#[test]
fn mirrors_end_with_their_track_and_come_again_with_the_next() {
    let mut world = World::spanning(4, 3);
    let room = world.create_room();
    let camera = world.join_at(0, room, Plan::camera());
    let viewers: Vec<_> =
        [1, 2].map(|engine| world.join_at(engine, room, Plan::viewer().with_slots(0, 1))).into();
    world.run_for(s(3));
    let first = track(&world, camera);
    let participant = world.client(camera).participant;
    let local = world.mirror_in(1, (0, first)).unwrap();
    let mid = world.client(camera).cameras().next().unwrap().mid().into();
    world.client_mut(camera).stop(&mid);
    world.offer(camera).unwrap();
    world.run_for(s(2));
    let unmirrored = world.events_of(1).find_map(|(_, event)| match event {
        Event::TrackUnmirrored { origin, participant, track, .. } => {
            Some((*origin, *participant, *track))
        }
        _ => None,
    });
    assert_eq!(unmirrored, Some(((0, first), participant, local)));
    for engine in 0..3 {
        let stats = world.stats_of(engine);
        assert_eq!((stats.tracks, stats.mirrors, stats.subscriptions), (0, 0, 0));
        assert_eq!(stats.history_pages, 0);
    }
    let now = world.now();
    world.client_mut(camera).publish_video(now, VideoPlan::default());
    world.offer(camera).unwrap();
    world.run_for(s(3));
    assert_ne!(track(&world, camera), first);
    for &viewer in &viewers {
        assert_eq!(playing(&world, viewer), Some(source(&world, camera)));
        assert_sound(&world, viewer);
        assert_eq!(world.client(viewer).receivers().count(), 1, "on the same m-line");
    }
    assert_eq!(world.drops(DropReason::RelayUnknown), 0, "an end that is told is no surprise");
}

#[test]
fn mirrors_end_when_their_publisher_leaves() {
    let mut world = World::spanning(5, 2);
    let room = world.create_room();
    let camera = world.join_at(0, room, Plan::publisher());
    let viewer = world.join_at(1, room, Plan::viewer());
    world.run_for(s(3));
    assert_eq!(world.stats_of(1).mirrors, 2);
    world.leave(camera);
    world.run_for(s(1));
    assert_eq!((world.stats_of(1).tracks, world.stats_of(1).subscriptions), (0, 0));
    assert!(world.client(viewer).receivers().all(|receiver| receiver.carries().is_none()));
    assert_flawless(&world, viewer);
}

#[test]
fn policies_hold_across_engines() {
    let mut world = World::spanning(6, 2);
    let rooms = world.create_unlinked();
    let room = rooms[0];
    let first = world.join_at(0, room, Plan::publisher());
    world.run_for(s(1));
    let second = world.join_at(1, room, Plan::publisher());
    world.run_for(s(1));
    // The second engine hears of the first publisher when it knows the second.
    world.link_all(&rooms);
    world.run_for(s(1));
    let participant = world.client(second).participant;
    let only = Plan::viewer().subscribing(SubscribePolicy::Only(participant));
    let only = world.join_at(0, room, only);
    let follow = Plan::viewer().subscribing(SubscribePolicy::FirstPublisher);
    let followers = [0, 1].map(|engine| world.join_at(engine, room, follow.clone()));
    let manual = Plan::viewer().with_slots(1, 1).subscribing(SubscribePolicy::Manual);
    let manual = world.join_at(1, room, manual);
    world.run_for(s(3));
    assert_eq!(playing(&world, only), Some(source(&world, second)));
    for follower in followers {
        assert_eq!(playing(&world, follower), Some(source(&world, first)), "the first of all");
    }
    assert_eq!(playing(&world, manual), None);
    let peer = world.client(manual).peer;
    let track = world.mirror_in(1, (0, track(&world, first))).unwrap();
    world.command_at(1, Command::Subscribe { peer, track }).unwrap();
    world.run_for(s(2));
    assert_eq!(playing(&world, manual), Some(source(&world, first)));
    world.command_at(1, Command::Unsubscribe { peer, track }).unwrap();

    world.leave(first);
    world.run_for(s(3));
    for follower in followers {
        assert_eq!(playing(&world, follower), Some(source(&world, second)), "then the next");
    }
    for client in [only, followers[0], followers[1], manual] {
        assert_sound(&world, client);
    }
}

#[test]
fn mirrors_tell_what_their_tracks_are() {
    let mut world = World::spanning(7, 2);
    let room = world.create_room();
    let camera = world.join_at(0, room, Plan::publisher().with_video(VideoPlan::simulcast()));
    world.run_for(s(1));
    let published = world.events_of(0).filter_map(|(_, event)| match event {
        Event::TrackPublished { track, .. } => Some(track.clone()),
        _ => None,
    });
    let mirrored: Vec<_> = world
        .events_of(1)
        .filter_map(|(_, event)| match event {
            Event::TrackMirrored { room: of, origin, track } => {
                assert_eq!((*of, origin.0), (world.room_in(1, room), 0));
                Some((origin.1, track.clone()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(mirrored.len(), 2);
    for (published, (origin, mirrored)) in published.zip(mirrored) {
        assert_eq!(published.track, origin);
        let mut renamed = mirrored.clone();
        renamed.track = published.track;
        assert_eq!(renamed, published);
        assert_eq!(mirrored.participant, world.client(camera).participant);
        let encodings = if mirrored.kind == MediaKind::Video { 3 } else { 1 };
        assert_eq!(mirrored.encodings, encodings);
    }
}
