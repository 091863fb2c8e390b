//! Who changes to a lower layer because the path became too narrow is not held up by what the path
//! lost of the layers that are left.

use sfu_core::drops::DropReason;
use sfu_core::negotiation::Codec;
use sfu_sim::link::Rate;
use sfu_sim::{Conditions, Layering, LinkPlan, Plan, VideoPlan, World};

use crate::common::{assert_sound, ms, s, video};

/// A link of 2.5 Mbit/s that has much less from the tenth second on.
fn narrowed(kbit: u64, delay: u64) -> LinkPlan {
    let link = |kbit| Conditions::clean(ms(delay)).with_rate(Rate::kbit(kbit, 300));
    LinkPlan::from(link(2_500)).then(s(10), link(kbit))
}

#[test]
fn a_path_that_becomes_narrow_is_not_filled_with_what_was_left() {
    // Longest time without a picture in ms; in brackets, what it was when all was repaired.
    let table = [
        (VideoPlan::layered(Codec::Vp9, Layering::key(3, 3)), 300, 50, 800), // [1992]
        (VideoPlan::layered(Codec::Vp9, Layering::key(3, 3)), 600, 50, 400), // [357]
        (VideoPlan::layered(Codec::Vp9, Layering::new(3, 3)), 400, 20, 800), // [1324]
        (VideoPlan::simulcast(), 600, 50, 600),
    ];
    let mut spent = 0;
    for (camera, kbit, delay, freeze_max) in table {
        for seed in 1..=3 {
            let mut world = World::new(seed);
            let room = world.create_room();
            world.join(room, Plan::camera().with_video(camera.clone()));
            let down = narrowed(kbit, delay);
            let viewer = world.join(room, Plan::viewer().with_slots(0, 1).with_down(down));
            world.run_for(s(20));
            let quality = video(&world, viewer);
            let of = format!("{:?}, {kbit} kbit/s, {delay} ms, seed {seed}", camera.codec);
            assert!(quality.longest_gap <= ms(freeze_max), "{of}: {quality:?}");
            assert_sound(&world, viewer);
            spent += world.drops(DropReason::NackSpent);
        }
    }
    assert!(spent > 30, "there was something to leave: {spent}");
}
