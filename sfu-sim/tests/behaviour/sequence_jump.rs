//! A publisher's sequence numbers jump, by up to what looks like a jump back: its viewers see a
//! short freeze, then a keyframe, and no gap.

use crate::common::{assert_sound, broadcast, ms, s, video};

#[test]
fn the_line_goes_on_after_a_jump() {
    for jump in [600, 20_000, 40_000, 64_000] {
        let (mut world, _, camera, viewers) = broadcast(1, 2);
        world.run_for(s(3));
        world.client_mut(camera).cameras_mut().for_each(|camera| camera.jump(jump));
        world.run_for(s(5));
        for &viewer in &viewers {
            assert_sound(&world, viewer);
            let quality = video(&world, viewer);
            assert_eq!(quality.lost, 0, "{jump}: {quality:?}");
            assert!(quality.frames > 30 * 7, "{jump}: {quality:?}");
            assert!(quality.longest_gap < ms(700), "{jump}: {quality:?}");
        }
    }
}
