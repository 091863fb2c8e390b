//! A camera is stopped and another one started on the same m-line: a new track, which its viewers
//! get on the m-line they have.

use sfu_core::drops::DropReason;
use sfu_core::event::Event;
use sfu_core::negotiation::MediaKind;
use sfu_core::rtp::extension::Extension;
use sfu_sim::wire::{RtpHeader, Stamp, rtp, vp8_payload};
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

/// One packet of a picture that has ended, with the names that it carries.
fn leftover(world: &mut World, client: ClientId, ssrc: u32, names: &[(Extension, &[u8])]) {
    let numbering = world.client(client).numbering().clone();
    let header = RtpHeader {
        payload_type: numbering.payload_type(MediaKind::Video),
        ssrc,
        ..RtpHeader::default()
    };
    let names: Vec<_> =
        names.iter().map(|&(which, name)| (numbering.extension(which), name)).collect();
    let payload = vp8_payload(0, &Stamp::default(), 200);
    world.client_mut(client).send(rtp(&header, &names, &payload, 0));
}

#[test]
fn the_rest_of_an_ended_track_takes_no_other_tracks_place() {
    let (mut world, room, camera, viewers) = broadcast(4, 1);
    world.run_for(s(2));
    // The end of a screen share is an offer, while packets of it are under way: their names were left
    // out once the first of them had been acknowledged, and their payload type is the camera's too.
    world.offer(camera).unwrap();
    leftover(&mut world, camera, 1, &[]);
    world.run_for(s(1));
    assert_eq!(world.drops(DropReason::SsrcUnknown), 1);
    // Who comes now needs a key frame, so the camera has to be asked under its own SSRC.
    let late = world.join(room, Plan::viewer());
    world.run_for(s(1));
    for viewer in [viewers[0], late] {
        assert_sound(&world, viewer);
        assert!(video(&world, viewer).frames > 15, "{:?}", video(&world, viewer));
    }
}

#[test]
fn the_rest_of_an_ended_track_does_not_keep_its_successor_out() {
    let mut world = World::new(5);
    let room = world.create_room();
    let camera = world.join(room, Plan::viewer());
    let viewer = world.join(room, Plan::viewer());
    world.run_for(s(1));
    let now = world.now();
    world.client_mut(camera).publish_video(now, VideoPlan::simulcast());
    world.offer(camera).unwrap();
    // Of an earlier track of the m-line; it was slower than the offer, and comes first.
    let mid = world.client(camera).published()[0].0.clone();
    for (ssrc, rid) in [(1, b"q"), (2, b"h"), (3, b"f")] {
        let names: [(_, &[u8]); 2] = [(Extension::Mid, mid.0.as_bytes()), (Extension::Rid, rid)];
        leftover(&mut world, camera, ssrc, &names);
    }
    world.run_for(s(3));
    assert_sound(&world, viewer);
    assert!(video(&world, viewer).frames > 30, "{:?}", video(&world, viewer));
}
