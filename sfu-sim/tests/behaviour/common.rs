//! What the tests of this folder share.

use std::time::Duration;

use sfu_core::negotiation::MediaKind;
use sfu_sim::{ClientId, Quality, World};

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) const fn s(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// The judgement of a client on its video.
pub(crate) fn video(world: &World, client: ClientId) -> Quality {
    world.client(client).quality(world.now(), MediaKind::Video)
}

/// The judgement of a client on its audio.
pub(crate) fn audio(world: &World, client: ClientId) -> Quality {
    world.client(client).quality(world.now(), MediaKind::Audio)
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
            quality.freezes_200,
        ];
        assert_eq!(faults, [0; 6], "{kind} of {client:?}: {quality:?}");
    }
}

/// Nothing is wrong that losses on the client's own link would not explain.
#[track_caller]
pub(crate) fn assert_sound(world: &World, client: ClientId) {
    for quality in [video(world, client), audio(world, client)] {
        assert_eq!(quality.violations, [], "{client:?}: {quality:?}");
    }
}
