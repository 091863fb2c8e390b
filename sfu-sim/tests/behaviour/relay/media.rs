//! Whatever engine they are connected to, everybody sees and hears everybody, and packets cross once
//! for each engine.

use sfu_core::command::SubscribePolicy;
use sfu_core::drops::DropReason;
use sfu_core::negotiation::Codec;
use sfu_sim::{Layering, Plan, VideoPlan, World};

use crate::common::{assert_flawless, audio, ms, s, video};

#[test]
fn nothing_is_lost_among_six_at_three_engines() {
    for delay in [ms(0), ms(15)] {
        let mut world = World::spanning(1, 3);
        world.set_relay_delay(delay);
        let room = world.create_room();
        let clients: Vec<_> = (0..6).map(|_| world.join(room, Plan::publisher())).collect();
        world.run_for(s(15));
        for &client in &clients {
            assert_flawless(&world, client);
            let (video, audio) = (video(&world, client), audio(&world, client));
            assert!(video.frames > 5 * 30 * 14, "{video:?}");
            assert!(audio.frames > 5 * 50 * 14, "{audio:?}");
            assert_eq!((video.plis, video.nacked), (0, 0));
        }
        for engine in 0..3 {
            let stats = world.stats_of(engine);
            assert_eq!((stats.tracks, stats.mirrors), (12, 8));
            let dropped: Vec<_> = stats.drops.iter().filter(|&(_, count)| count > 0).collect();
            assert_eq!(dropped, Vec::<(DropReason, u64)>::new());
            // Two publishers here, and two other engines that want all of theirs.
            assert!(stats.relayed_out <= 2 * stats.rtp_in, "{stats:?}");
            assert!(stats.relayed_out * 100 >= 2 * stats.rtp_in * 99, "{stats:?}");
        }
    }
}

#[test]
fn a_packet_crosses_once_however_many_want_it() {
    let mut world = World::spanning(2, 2);
    let room = world.create_room();
    world.join_at(0, room, Plan::camera());
    let viewers: Vec<_> =
        (0..20).map(|_| world.join_at(1, room, Plan::viewer().with_slots(0, 1))).collect();
    world.run_for(s(10));
    for &viewer in &viewers {
        assert_flawless(&world, viewer);
        assert!(video(&world, viewer).frames > 30 * 9);
    }
    let (origin, mirror) = (world.stats_of(0), world.stats_of(1));
    assert!(origin.relayed_out <= origin.rtp_in, "{origin:?}");
    assert_eq!((origin.rtp_out, mirror.relayed_in), (0, origin.relayed_out));
    assert!(mirror.rtp_out > 19 * mirror.relayed_in, "{mirror:?}");
    assert!(world.relayed().packets_max >= 8, "frames cross in one piece: {:?}", world.relayed());
}

#[test]
fn nothing_crosses_where_nobody_looks() {
    let mut world = World::spanning(3, 3);
    let room = world.create_room();
    world.join_at(0, room, Plan::publisher());
    let near = world.join_at(0, room, Plan::viewer());
    world.join_at(1, room, Plan::viewer().subscribing(SubscribePolicy::Manual));
    world.run_for(s(5));
    assert_flawless(&world, near);
    assert_eq!(world.relayed().packets, 0);
    let far = world.join_at(2, room, Plan::viewer());
    world.run_for(s(5));
    assert_flawless(&world, far);
    assert!(video(&world, far).frames > 30 * 4);
    assert_eq!((world.stats_of(1).relayed_in, world.stats_of(2).relayed_in > 0), (0, true));
    world.leave(far);
    world.run_for(s(1));
    let before = world.relayed().packets;
    world.run_for(s(5));
    assert_eq!(world.relayed().packets, before, "nor once they have left");
}

#[test]
fn who_comes_late_to_another_engine_begins_with_a_keyframe() {
    let mut world = World::spanning(4, 2);
    let room = world.create_room();
    let plan = VideoPlan { first_sequence: Some(65_000), ..VideoPlan::default() };
    world.join_at(0, room, Plan::camera().with_video(plan));
    world.join_at(0, room, Plan::viewer().with_slots(0, 1));
    world.run_for(s(20));
    let late = world.join_at(1, room, Plan::viewer().with_slots(0, 1));
    world.run_for(s(5));
    assert_flawless(&world, late);
    let quality = video(&world, late);
    assert!(quality.keyframes >= 1 && quality.frames > 30 * 4, "{quality:?}");
    let receiver = world.client(late).receivers().next().unwrap();
    assert!(receiver.first_sequence().unwrap() < 32_768);
}

#[test]
fn every_codec_crosses() {
    let layered = [
        (Codec::Vp8, Layering::new(1, 3)),
        (Codec::H264, Layering::new(1, 1)),
        (Codec::Vp9, Layering::new(3, 3)),
        (Codec::Vp9, Layering::key(3, 3)),
        (Codec::Av1, Layering::new(3, 3)),
    ];
    for (seed, (codec, layering)) in (5..).zip(layered) {
        let mut world = World::spanning(seed, 2);
        let room = world.create_room();
        let plan = VideoPlan::layered(codec, layering);
        world.join_at(0, room, Plan::camera().with_video(plan));
        let early = world.join_at(1, room, Plan::viewer().with_slots(0, 1));
        world.run_for(s(4));
        let late = world.join_at(1, room, Plan::viewer().with_slots(0, 1));
        world.run_for(s(6));
        for viewer in [early, late] {
            assert_flawless(&world, viewer);
            let frames = video(&world, viewer).frames;
            assert!(frames > 30 * 5, "{codec:?} {layering:?}: {frames}");
        }
    }
}

#[test]
fn probes_of_publishers_leave_no_gap() {
    let mut world = World::spanning(11, 2);
    let room = world.create_room();
    let plan = VideoPlan { padding_every: Some(3), ..VideoPlan::default() };
    let camera = world.join_at(0, room, Plan::camera().with_video(plan));
    let viewer = world.join_at(1, room, Plan::viewer().with_slots(0, 1));
    world.run_for(s(10));
    let published = world.client(camera).cameras().next().unwrap().published();
    assert!(published.paddings > 30, "{published:?}");
    assert_flawless(&world, viewer);
    let quality = video(&world, viewer);
    assert!(quality.frames > 30 * 9, "{quality:?}");
    assert_eq!(quality.nacked, 0, "there is nothing to ask for");
}
