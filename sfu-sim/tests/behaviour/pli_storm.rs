//! Subscribers that ask for keyframes all the time cost the publisher two a second, and nobody
//! who needs one waits for more than two seconds.

use sfu_sim::Plan;

use crate::common::{assert_flawless, broadcast, ms, s, video};

#[test]
fn fifty_times_fifty_requests_a_second_become_two() {
    let (mut world, room, camera, viewers) = broadcast(1, 50);
    world.run_for(s(2));
    let begun = world.now();
    let mut newcomer = None;
    for round in 0..500 {
        for &viewer in &viewers {
            world.client_mut(viewer).request_keyframes();
        }
        if round == 250 {
            newcomer = Some((world.join(room, Plan::viewer().with_slots(0, 1)), world.now()));
        }
        world.run_for(ms(20));
    }
    let requests = &world.client(camera).cameras().next().unwrap().published().keyframe_requests;
    let storm: Vec<_> = requests.iter().filter(|&&at| at >= begun).collect();
    assert!(storm.windows(2).all(|pair| *pair[1] - *pair[0] >= ms(500)), "{storm:?}");
    assert!((5..=20).contains(&storm.len()), "{storm:?}");
    assert!(world.stats().keyframe_requests_in >= 25_000);
    for &viewer in &viewers {
        assert_flawless(&world, viewer);
        assert!(video(&world, viewer).keyframes >= 5, "one every two seconds at least");
    }
    let (newcomer, joined) = newcomer.unwrap();
    assert_flawless(&world, newcomer);
    let frames = video(&world, newcomer).frames;
    let waited = world.now() - joined - s(1) / 30 * u32::try_from(frames).unwrap();
    assert!(waited <= s(2), "{frames} frames in {:?}", world.now() - joined);
}
