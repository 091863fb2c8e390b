//! What the tests of this folder share.

use std::time::Duration;

use sfu_core::event::Event;
use sfu_core::id::{RoomId, TrackId};
use sfu_core::negotiation::MediaKind;
use sfu_sim::{ClientId, Plan, Quality, World};

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) const fn s(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// A world with one room and, in it, one camera and so many viewers of it.
pub(crate) fn broadcast(seed: u64, viewers: usize) -> (World, RoomId, ClientId, Vec<ClientId>) {
    let mut world = World::new(seed);
    let room = world.create_room();
    let camera = world.join(room, Plan::camera());
    let viewers = (0..viewers).map(|_| world.join(room, Plan::viewer().with_slots(0, 1))).collect();
    (world, room, camera, viewers)
}

/// The judgement of a client on its video.
pub(crate) fn video(world: &World, client: ClientId) -> Quality {
    world.client(client).quality(world.now(), MediaKind::Video)
}

/// The judgement of a client on its audio.
pub(crate) fn audio(world: &World, client: ClientId) -> Quality {
    world.client(client).quality(world.now(), MediaKind::Audio)
}

/// The video track a client publishes.
#[track_caller]
pub(crate) fn track(world: &World, client: ClientId) -> TrackId {
    world.client(client).track(MediaKind::Video).expect("it publishes video")
}

/// The number of the source a client's camera stamps its packets with.
#[track_caller]
pub(crate) fn source(world: &World, client: ClientId) -> u32 {
    world.client(client).cameras().next().expect("it has a camera").source()
}

/// The number of the source whose frames a client's only video m-line plays.
pub(crate) fn playing(world: &World, client: ClientId) -> Option<u32> {
    let mut receivers = world.client(client).receivers();
    let video = receivers.find(|receiver| receiver.kind() == MediaKind::Video)?;
    Some(video.playing()?.source)
}

/// The numbers of missing m-lines a client was told, each time it was told.
pub(crate) fn slots_told(world: &World, client: ClientId) -> Vec<(u16, u16)> {
    let id = world.client(client).peer;
    let told = world.events().iter().filter_map(|(_, event)| match event {
        Event::SlotsNeeded { peer, audio, video } if *peer == id => Some((*audio, *video)),
        _ => None,
    });
    told.collect()
}

/// Nothing at all is wrong with what a client received.
#[track_caller]
pub(crate) fn assert_flawless(world: &World, client: ClientId) {
    let (video, audio) = (video(world, client), audio(world, client));
    for (kind, quality) in [("video", &video), ("audio", &audio)] {
        assert_eq!(quality.violations, [], "{kind} of {client:?}: {quality:?}");
        let faults = [
            quality.lost,
            quality.frames_missed,
            quality.frames_undecodable,
            quality.duplicates,
            quality.undecodable_starts,
            // Keyframes are spread by the pacer; what is shown does not stop for long.
            quality.freezes_500,
        ];
        assert_eq!(faults, [0; 6], "{kind} of {client:?}: {quality:?}");
    }
}

/// Nothing is wrong that losses on a link would not explain.
#[track_caller]
pub(crate) fn assert_sound(world: &World, client: ClientId) {
    for quality in [video(world, client), audio(world, client)] {
        assert_eq!(quality.violations, [], "{client:?}: {quality:?}");
    }
}
