//! A world in which media is really encrypted takes the same course as one in which it is not: the
//! same pictures, the same layers, the same repairs.

use sfu_core::transport::Security;
use sfu_sim::{Plan, Quality, VideoPlan, World};

use crate::common::{assert_flawless, audio, s, video};

/// What the subscribers of one call saw, and what layers from when on.
fn call(security: Security) -> Vec<(Quality, Quality, Vec<(u8, u16)>)> {
    let mut world = match security {
        Security::Full => World::encrypted(5),
        Security::Plain => World::new(5),
    };
    let room = world.create_room();
    let camera = world.join(room, Plan::publisher().with_video(VideoPlan::simulcast()));
    world.run_for(s(1));
    let viewers: Vec<_> = (0..3).map(|_| world.join(room, Plan::viewer())).collect();
    world.run_for(s(8));
    for camera in world.client_mut(camera).cameras_mut() {
        camera.set_encoding_active(2, false);
    }
    world.run_for(s(6));
    let seen = viewers.iter().map(|&viewer| {
        let receivers = world.client(viewer).receivers().flat_map(|receiver| receiver.history());
        let shown = receivers.map(|(_, shown)| (shown.encoding, shown.width)).collect();
        (video(&world, viewer), audio(&world, viewer), shown)
    });
    seen.collect()
}

#[test]
fn encryption_changes_nothing_but_when_it_begins() {
    let (plain, full) = (call(Security::Plain), call(Security::Full));
    for ((plain, plain_audio, plain_shown), (full, full_audio, full_shown)) in
        plain.iter().zip(&full)
    {
        assert_eq!(plain_shown, full_shown);
        assert!(plain_shown.len() >= 2, "there was something to decide: {plain_shown:?}");
        assert_eq!((&plain.violations, &full.violations), (&vec![], &vec![]));
        assert_eq!((plain.lost, plain.nacked), (full.lost, full.nacked));
        // The handshake takes two round trips of 40 ms before media may flow.
        let late = |plain: u64, full: u64, most: u64| plain >= full && plain - full <= most;
        assert!(late(plain.frames, full.frames, 8), "{plain:?} {full:?}");
        assert!(late(plain_audio.frames, full_audio.frames, 12), "{plain_audio:?} {full_audio:?}");
    }
}

#[test]
fn everybody_connects_and_sees_everybody() {
    let mut world = World::encrypted(2);
    let room = world.create_room();
    let clients: Vec<_> = (0..3).map(|_| world.join(room, Plan::publisher())).collect();
    world.run_for(s(5));
    for client in clients {
        assert_flawless(&world, client);
        assert!(video(&world, client).frames >= 2 * 30 * 4);
    }
}
