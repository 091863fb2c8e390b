//! The engine understands each kind of feedback that subscribers send, as the bytes they send.

use std::time::Duration;

use sfu_core::command::{Command, Reply};
use sfu_core::decision::Estimate;
use sfu_sim::{Conditions, Feedback, Loss, Plan, World};

use crate::common::ms;

/// What the engine thinks of the path to a subscriber who hears and sees one publisher, 30 ms away
/// and with 5 % loss: in the end, and the most loss it ever saw.
fn estimate(feedback: Feedback) -> (Estimate, f32) {
    let mut world = World::new(3);
    let room = world.create_room();
    world.join(room, Plan::publisher());
    let down = Conditions::clean(ms(30)).with_loss(Loss::Random(0.05));
    let viewer = Plan::viewer().at_distance(ms(30)).with_down(down).with_feedback(feedback);
    let viewer = world.join(room, viewer);
    let peer = world.client(viewer).peer;
    let (mut last, mut loss) = (Estimate::default(), 0.0f32);
    for _ in 0..60 {
        world.run_for(ms(100));
        let Ok(Reply::Decisions(decisions)) = world.command(Command::Decisions { peer }) else {
            panic!("no decisions");
        };
        last = decisions.estimate;
        loss = loss.max(last.loss);
    }
    (last, loss)
}

#[test]
fn arrivals_are_told_packet_by_packet() {
    for feedback in [Feedback::BROWSER, Feedback::Rfc8888(Duration::from_millis(50))] {
        let (estimate, loss) = estimate(feedback);
        assert!(estimate.acknowledged_bps.is_some_and(|bps| bps > 20_000), "{estimate:?}");
        assert!(loss > 0.001, "{feedback:?}: {estimate:?}");
    }
}

#[test]
fn a_receivers_own_estimate_is_an_upper_bound() {
    let (estimate, _) = estimate(Feedback::Remb(200_000));
    assert_eq!(estimate.remb_bps.map(|bps| bps.div_ceil(1000)), Some(200), "{estimate:?}");
    assert!(estimate.target_bps <= 200_000, "{estimate:?}");
}
