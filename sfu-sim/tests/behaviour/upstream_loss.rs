//! Packets lost between a publisher and the engine are asked for again, once for all subscribers.

use sfu_sim::{Conditions, Loss, Plan, World};

use crate::common::{assert_sound, ms, s, video};

#[test]
fn the_engine_recovers_them_and_every_subscriber_gets_them() {
    for seed in [1, 2, 3] {
        let mut world = World::new(seed);
        let room = world.create_room();
        let lossy = Conditions::clean(ms(25)).with_loss(Loss::Random(0.05));
        let camera = world.join(room, Plan::camera().with_up(lossy));
        let viewers: Vec<_> =
            (0..3).map(|_| world.join(room, Plan::viewer().with_slots(0, 1))).collect();
        world.run_for(s(30));
        let lost = world.links(camera).0.counts.lost;
        let published = world.client(camera).cameras().next().unwrap().published().clone();
        assert!(lost > 100, "there was something to recover: {lost}");
        assert!(published.resent >= lost * 8 / 10, "lost {lost}, {published:?}");
        // One request serves all: three viewers do not triple them.
        assert!(published.nacked < lost * 2, "lost {lost}, {published:?}");
        for &viewer in &viewers {
            assert_sound(&world, viewer);
            let quality = video(&world, viewer);
            assert!(quality.completeness() >= 0.99, "seed {seed}: {quality:?}");
            assert!(quality.frames > 30 * 28, "seed {seed}: {quality:?}");
            assert_eq!(quality.freezes_500, 0, "seed {seed}: {quality:?}");
        }
    }
}
