//! A subscriber with none of a track's codecs is told so once, and is not asked for m-lines it
//! could not use.

use sfu_core::event::Event;
use sfu_core::negotiation::Codec;
use sfu_sim::{Plan, World};

use crate::common::{assert_flawless, s, slots_told, track, video};

#[test]
fn the_subscriber_is_told_and_nothing_is_sent() {
    let mut world = World::new(1);
    let room = world.create_room();
    let vp8 = Plan { video_codecs: vec![Codec::Vp8], ..Plan::camera() };
    let h264 = Plan { video_codecs: vec![Codec::H264], ..Plan::viewer().with_slots(0, 2) };
    let camera = world.join(room, vp8);
    let deaf = world.join(room, h264);
    let other = world.join(room, Plan::viewer().with_slots(0, 1));
    world.run_for(s(3));
    let (peer, track) = (world.client(deaf).peer, track(&world, camera));
    let told = world.events().iter().filter(|(_, event)| {
        matches!(event, Event::NoCommonCodec { .. })
            .then(|| {
                assert_eq!(*event, Event::NoCommonCodec { peer, track });
            })
            .is_some()
    });
    assert_eq!(told.count(), 1);
    assert_eq!(slots_told(&world, deaf), []);
    assert_eq!(video(&world, deaf).packets, 0);
    assert_flawless(&world, other);
    assert!(video(&world, other).frames > 60);
}
