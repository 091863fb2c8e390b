//! The engine knows how far away its subscribers are, whatever the distance and however their
//! reports and its own fall together.

use sfu_core::command::{Command, Reply};
use sfu_sim::{Plan, World};

use crate::common::{ms, s};

#[test]
fn round_trip_times_are_known_and_right() {
    let mut world = World::new(1);
    let room = world.create_room();
    world.join(room, Plan::publisher());
    let viewer = |delay| Plan::viewer().with_slots(0, 1).at_distance(ms(delay));
    let viewers: Vec<_> = (1..=60)
        .map(|step| {
            world.run_for(ms(37)); // reports of all phases
            (world.join(room, viewer(step * 10)), step * 20)
        })
        .collect();
    world.run_for(s(6));
    for (viewer, expected) in viewers {
        let peer = world.client(viewer).peer;
        let Ok(Reply::PeerStats(stats)) = world.command(Command::PeerStats { peer }) else {
            panic!("no statistics of {viewer:?}");
        };
        let rtt = stats.rtt_ms.unwrap_or_else(|| panic!("{expected} ms: unknown"));
        assert!(u64::from(rtt).abs_diff(expected) <= 2, "{rtt} instead of {expected}");
    }
}
