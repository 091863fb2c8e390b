//! Audio and video of one publisher are played in sync by subscribers of every engine.

use sfu_core::negotiation::MediaKind;
use sfu_sim::{Conditions, Plan, World};

use crate::common::{ms, s};

#[test]
fn sender_reports_mean_the_same_moment_in_every_engine() {
    let mut world = World::spanning(1, 2);
    world.set_relay_delay(ms(40));
    let room = world.create_room();
    // Reports come late now and then: what is said of the publisher's clock improves with time.
    let up = Conditions::clean(ms(30)).with_jitter(ms(60));
    let publisher = world.join_at(0, room, Plan::publisher().with_up(up));
    let viewers = [0, 1].map(|engine| world.join_at(engine, room, Plan::viewer()));
    let participant = world.client(publisher).participant;
    for second in 0..15 {
        world.run_for(s(1));
        if second < 4 {
            continue; // reports come once a second
        }
        let offsets = viewers.map(|viewer| {
            [MediaKind::Audio, MediaKind::Video].map(|kind| {
                let mut receivers = world.client(viewer).receivers();
                let receiver = receivers.find(|receiver| receiver.kind() == kind).unwrap();
                assert_eq!(receiver.carries().unwrap().0, participant);
                receiver.clock_offset_us().unwrap()
            })
        });
        let [near, far] = offsets;
        // One packet of audio, one tick of rounding: what the publisher itself says to within.
        for [audio, video] in [near, far] {
            assert!((audio - video).abs() <= 20_000 + 1_000, "{second}: {offsets:?}");
        }
        let apart = |kind: usize| (near[kind] - far[kind]).abs();
        assert!(apart(0) <= 1_000 && apart(1) <= 1_000, "{second}: {offsets:?}");
    }
}
