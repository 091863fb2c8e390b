//! Losses are repaired where they happen: those of subscribers by their own engine, those of
//! publishers by theirs, once for all.

use sfu_sim::{Conditions, Loss, Plan, World};

use crate::common::{assert_flawless, assert_sound, ms, s, video};

#[test]
fn a_subscriber_that_loses_a_tenth_is_helped_by_its_own_engine() {
    let mut world = World::spanning(1, 2);
    world.set_relay_delay(ms(10));
    let room = world.create_room();
    let camera = world.join_at(0, room, Plan::camera().at_distance(ms(25)));
    let viewer = Plan::viewer().with_slots(0, 1).at_distance(ms(25));
    let clean = world.join_at(1, room, viewer.clone());
    let lossy = Conditions::clean(ms(25)).with_loss(Loss::Random(0.1));
    let lossy = world.join_at(1, room, viewer.with_down(lossy));
    world.run_for(s(30));
    assert_flawless(&world, clean);
    assert_sound(&world, lossy);
    let quality = video(&world, lossy);
    assert!(quality.repaired > quality.packets / 12, "there was loss to repair: {quality:?}");
    assert!(quality.completeness() >= 0.99, "{quality:?}");
    let (origin, mirror) = (world.stats_of(0), world.stats_of(1));
    assert_eq!((origin.nacks_in, origin.nacks_out, origin.rtx_out), (0, 0, 0));
    assert!(mirror.nacks_in > 300 && mirror.rtx_out > 300, "{mirror:?}");
    assert_eq!(world.client(camera).cameras().next().unwrap().published().nacked, 0);
    assert!(origin.relayed_out <= origin.rtp_in, "and nothing crosses twice: {origin:?}");
}

#[test]
fn what_a_publisher_lost_is_asked_for_once_and_crosses_late() {
    for seed in [2, 3] {
        let mut world = World::spanning(seed, 3);
        let room = world.create_room();
        let lossy = Conditions::clean(ms(25)).with_loss(Loss::Random(0.05));
        let camera = world.join_at(0, room, Plan::camera().with_up(lossy));
        let viewers: Vec<_> =
            (0..6).map(|_| world.join(room, Plan::viewer().with_slots(0, 1))).collect();
        world.run_for(s(30));
        let lost = world.links(camera).0.counts.lost;
        let published = world.client(camera).cameras().next().unwrap().published().clone();
        assert!(lost > 100, "there was something to recover: {lost}");
        assert!(published.resent >= lost * 8 / 10, "lost {lost}, {published:?}");
        assert!(published.nacked < lost * 2, "lost {lost}, {published:?}");
        for &viewer in &viewers {
            assert_sound(&world, viewer);
            let quality = video(&world, viewer);
            assert!(quality.completeness() >= 0.99, "seed {seed}: {quality:?}");
            assert!(quality.frames > 30 * 28, "seed {seed}: {quality:?}");
            assert_eq!(quality.freezes_500, 0, "seed {seed}: {quality:?}");
        }
        assert_eq!(world.stats_of(1).nacks_out + world.stats_of(2).nacks_out, 0);
    }
}
