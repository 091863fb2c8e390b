//! Padding-only packets (a publisher's bandwidth probes) are not forwarded and leave no gap.

use sfu_sim::{Plan, VideoPlan, World};

use crate::common::{assert_flawless, s, video};

#[test]
fn probes_vanish_without_a_trace() {
    for (seed, every) in [(1, 1), (2, 7)] {
        let mut world = World::new(seed);
        let room = world.create_room();
        let plan = VideoPlan { padding_every: Some(every), ..VideoPlan::default() };
        let camera = world.join(room, Plan::camera().with_video(plan));
        let viewer = world.join(room, Plan::viewer().with_slots(0, 1));
        world.run_for(s(10));
        let published = world.client(camera).cameras().next().unwrap().published();
        assert!(published.paddings > 30, "{published:?}");
        assert_flawless(&world, viewer);
        let quality = video(&world, viewer);
        assert!(quality.frames > 30 * 9, "{quality:?}");
        assert_eq!(quality.nacked, 0, "there is nothing to ask for");
    }
}
