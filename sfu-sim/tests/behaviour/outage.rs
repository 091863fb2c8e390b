//! A subscriber's network goes away for a while: the picture is back within a second of its
//! return, without a new offer; after half a minute of silence nothing is sent any more.

use sfu_core::event::{Event, FailReason, TransportState};
use sfu_sim::{Conditions, LinkPlan, Loss, Plan, World};

use crate::common::{assert_flawless, assert_sound, s, video};

fn outage(seconds: u64) -> LinkPlan {
    let dark = Conditions::default().with_loss(Loss::Outage);
    LinkPlan::default().with_spell(s(5), s(5 + seconds), dark)
}

#[test]
fn the_picture_is_back_within_a_second() {
    for seconds in [1, 5, 10, 25] {
        let mut world = World::new(seconds);
        let room = world.create_room();
        world.join(room, Plan::camera());
        let plan = Plan::viewer().with_slots(0, 1);
        let other = world.join(room, plan.clone());
        let viewer = world.join(room, plan.with_up(outage(seconds)).with_down(outage(seconds)));
        world.run_for(s(5 + seconds));
        let before = video(&world, viewer);
        let back = world.run_until(s(1), |world| {
            let quality = video(world, viewer);
            quality.frames - quality.frames_undecodable > before.frames - before.frames_undecodable
        });
        assert!(back, "{seconds} s: {:?}", video(&world, viewer));
        world.run_for(s(3));
        let after = video(&world, viewer);
        assert!(after.frames > before.frames + 60, "{seconds} s: {after:?}");
        assert_sound(&world, viewer);
        assert_flawless(&world, other);
    }
}

#[test]
fn consent_expires_after_half_a_minute_of_silence() {
    let mut world = World::new(1);
    let room = world.create_room();
    world.join(room, Plan::camera());
    // Only the way up is dark: without consent nothing may go down either.
    let viewer = world.join(room, Plan::viewer().with_slots(0, 1).with_up(outage(60)));
    world.run_for(s(40));
    let packets = video(&world, viewer).packets;
    world.run_for(s(5));
    assert_eq!(video(&world, viewer).packets, packets, "nothing is sent without consent");
    let peer = world.client(viewer).peer;
    let states: Vec<_> = world
        .events()
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Transport { peer: of, state } if *of == peer => Some(*state),
            _ => None,
        })
        .collect();
    let expected = [
        TransportState::Connected,
        TransportState::Disconnected,
        TransportState::Failed(FailReason::ConsentExpired),
    ];
    assert_eq!(states[states.len() - 3..], expected, "{states:?}");
}
