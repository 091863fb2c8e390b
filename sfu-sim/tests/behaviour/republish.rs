//! A camera is stopped and another one started on the same m-line: a new track, which its viewers
//! get on the m-line they have.

use sfu_core::event::Event;
use sfu_sim::{ClientId, Plan, VideoPlan, World};

use crate::common::{assert_sound, broadcast, playing, s, source, track, video};

fn stop_camera(world: &mut World, client: ClientId) {
    let mid = world.client(client).cameras().next().unwrap().mid().into();
    world.client_mut(client).stop(&mid);
    world.offer(client).unwrap();
}

fn start_camera(world: &mut World, client: ClientId) {
    let now = world.now();
    world.client_mut(client).publish_video(now, VideoPlan::default());
    world.offer(client).unwrap();
}

#[test]
fn an_m_line_is_reused_for_another_track() {
    let (mut world, room, camera, viewers) = broadcast(1, 2);
    world.run_for(s(3));
    let (first, mid) = (track(&world, camera), world.client(camera).published()[0].0.clone());
    let mark = world.events().len();

    stop_camera(&mut world, camera);
    assert!(world.client(camera).published().is_empty());
    world.run_for(s(2));
    let quiet = video(&world, viewers[0]).packets;
    world.run_for(s(1));
    assert_eq!(video(&world, viewers[0]).packets, quiet);

    start_camera(&mut world, camera);
    let second = track(&world, camera);
    assert_ne!(first, second);
    assert_eq!(world.client(camera).published()[0].0, mid, "on the same m-line");
    world.run_for(s(3));
    for &viewer in &viewers {
        assert_eq!(playing(&world, viewer), Some(source(&world, camera)));
        assert_sound(&world, viewer);
        assert_eq!(video(&world, viewer).lost, 0);
        assert_eq!(world.client(viewer).receivers().count(), 1, "on the same m-line");
    }
    let participant = world.client(camera).participant;
    let told: Vec<_> = world
        .events_since(mark)
        .filter(|e| matches!(e, Event::TrackPublished { .. } | Event::TrackUnpublished { .. }))
        .cloned()
        .collect();
    assert!(
        matches!(&told[..], [
        Event::TrackUnpublished { room: r, participant: p, track: t },
        Event::TrackPublished { track: info, .. },
    ] if (*r, *p, *t) == (room, participant, first) && info.track == second),
        "{told:?}"
    );
}

#[test]
fn a_track_ended_by_command_comes_back_with_the_next_offer() {
    let (mut world, _, camera, viewers) = broadcast(2, 1);
    world.run_for(s(2));
    let track_before = track(&world, camera);
    world.command(sfu_core::command::Command::Unpublish { track: track_before }).unwrap();
    world.run_for(s(1));
    assert_eq!(world.stats().tracks, 0);
    world.offer(camera).unwrap();
    world.run_for(s(2));
    assert_ne!(track(&world, camera), track_before);
    assert_eq!(playing(&world, viewers[0]), Some(source(&world, camera)));
    assert_sound(&world, viewers[0]);
    let frames = video(&world, viewers[0]).frames;
    assert!(frames > 30 * 3, "{frames}");
}

#[test]
fn a_second_camera_joins_the_first() {
    let mut world = World::new(3);
    let room = world.create_room();
    let camera = world.join(room, Plan::camera());
    let viewer = world.join(room, Plan::viewer());
    world.run_for(s(2));
    start_camera(&mut world, camera);
    world.run_for(s(2));
    let receivers: Vec<_> = world.client(viewer).receivers().filter_map(|r| r.playing()).collect();
    assert_eq!(receivers.len(), 2);
    assert_ne!(receivers[0].source, receivers[1].source);
    crate::common::assert_flawless(&world, viewer);
}
